import os
import warnings

import pytest
from published_layouts import (
    RECORDINGS,
    VIMSKETCH_KEYS,
    make_vimsketch,
    make_vis,
    make_vocalsketch,
    write_list,
    write_sound,
)

from qvim_kit.datasets import (
    DatasetError,
    DatasetWarning,
    read_qvim_dev,
    read_vimsketch,
    read_vocal_imitation_set,
    read_vocalsketch,
)
from qvim_kit.datasets.audit import audit


@pytest.fixture(autouse=True)
def no_surprising_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pairs(dataset):
    return dict(zip(dataset.queries["query_id"], dataset.queries["item_id"], strict=True))


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_vimsketch_pairs_by_all_after_the_first_underscore(tmp_path, ends, start):
    upper = [VIMSKETCH_KEYS[1]]
    references, queries = make_vimsketch(tmp_path, upper=upper, ends=ends, start=start)
    dataset = read_vimsketch(tmp_path)
    assert (len(dataset.items), len(dataset.queries)) == (5, 20)
    expected = {
        f"{q[6:10]}/{q}": f"{r[4:8]}/{r}" for q in queries for r in references if q[6:] == r[4:]
    }
    in_any_case = {q.lower(): item.lower() for q, item in pairs(dataset).items()}
    assert in_any_case == {q.lower(): item.lower() for q, item in expected.items()}
    assert "017A/002_017Animal_Livestock_farm animals_Horse_Snort (horse).WAV" in set(
        dataset.items["item_id"]
    )
    # The concepts 000 of the two original data sets stay apart.
    assert set(dataset.items["class"]) == {"000A", "017A", "020A", "000-", "213-"}
    assert dataset.name == "VimSketch"
    assert len(dataset.fingerprint()) == 16


def test_vimsketch_names_in_quotes_are_names_with_commas(tmp_path):
    references, _ = make_vimsketch(tmp_path)
    write_list(tmp_path / "reference_file_names.csv", [f'"{name}"' for name in references])
    assert len(read_vimsketch(tmp_path).items) == 5


def test_vimsketch_lists_all_that_is_missing(tmp_path):
    references, queries = make_vimsketch(tmp_path)
    (tmp_path / "references" / references[1]).unlink()
    (tmp_path / "vocal_imitations" / queries[0]).unlink()
    orphan = "09999_555Nobody knows.wav"
    write_sound(tmp_path / "vocal_imitations" / orphan, 5)
    write_list(tmp_path / "vocal_imitation_file_names.csv", [*queries, orphan])
    with pytest.raises(DatasetError) as caught:
        read_vimsketch(tmp_path)
    assert sorted(caught.value.problems) == [
        f"missing references/{references[1]}",
        f"missing vocal_imitations/{queries[0]}",
        f"vocal_imitations/{orphan} has no reference in reference_file_names.csv",
    ]
    assert "allow_missing=True" in str(caught.value)
    with pytest.warns(DatasetWarning, match="left out 7 files") as record:
        dataset = read_vimsketch(tmp_path, allow_missing=True)
    left_out = {f"vocal_imitations/{name}" for name in [queries[0], orphan, *queries[4:8]]}
    assert set(record[0].message.names) == left_out | {f"references/{references[1]}"}
    assert set(dataset.queries["query_id"].str[5:]) == {*queries[1:4], *queries[8:]}
    assert references[1] not in set(dataset.items["item_id"].str[5:])


def test_vimsketch_names_files_that_no_list_has(tmp_path):
    references, queries = make_vimsketch(tmp_path)
    write_list(tmp_path / "reference_file_names.csv", references[:-1])
    write_list(tmp_path / "vocal_imitation_file_names.csv", queries[:-4])
    (tmp_path / "references" / ("._" + references[0])).write_bytes(b"of macOS")
    with pytest.warns(DatasetWarning, match="left out 5 files in no list") as record:
        dataset = read_vimsketch(tmp_path)
    assert set(record[0].message.names) == {
        f"references/{references[-1]}",
        *(f"vocal_imitations/{name}" for name in queries[-4:]),
    }
    assert (len(dataset.items), len(dataset.queries)) == (4, 16)


def test_vimsketch_with_two_references_of_one_key(tmp_path):
    references, _ = make_vimsketch(tmp_path)
    twin = "777_" + references[0][4:]
    write_sound(tmp_path / "references" / twin, 1)
    write_list(tmp_path / "reference_file_names.csv", [*references, twin])
    for allow_missing in (False, True):
        with pytest.raises(DatasetError, match="differ only in their number") as caught:
            read_vimsketch(tmp_path, allow_missing=allow_missing)
        assert len(caught.value.problems) == 1 and twin in caught.value.problems[0]


def test_a_name_without_number_is_a_problem(tmp_path):
    references, _ = make_vimsketch(tmp_path)
    write_sound(tmp_path / "references" / "cat.wav", 1)
    write_list(tmp_path / "reference_file_names.csv", [*references, "cat.wav"])
    with pytest.raises(DatasetError, match="cat.wav: expected a name of the form NNN_<rest>.wav"):
        read_vimsketch(tmp_path)


@pytest.mark.parametrize(
    ("read", "make"),
    [
        (read_vimsketch, make_vimsketch),
        (read_vocal_imitation_set, make_vis),
        (read_vocalsketch, make_vocalsketch),
    ],
)
def test_the_folder_above_is_pointed_down(tmp_path, read, make):
    make(tmp_path / "inner")
    with pytest.raises(DatasetError, match="Did you mean its folder inner"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="(?s)there is no .*Expected the folder"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("nested", [False, True])
def test_vocal_imitation_set(tmp_path, nested):
    dataset = read_vocal_imitation_set(make_vis(tmp_path, nested=nested))
    assert (len(dataset.items), len(dataset.queries)) == (5 + 8, 15)
    assert dataset.items["kind"].value_counts().to_dict() == {"reference": 5, "non_reference": 8}
    for query, item in pairs(dataset).items():
        assert query[:3] == item[:3] and item.endswith("_reference.wav")
        assert query.startswith(f"{query[:3]}/{query[:3]}")
    assert set(dataset.items["class"]) == {"000", "001", "017", "020", "239"}
    assert not dataset.queries["path"].str.contains("excluded").any()
    own = dataset.items[dataset.items["class"] == "017"]
    assert sorted(own["kind"]) == ["non_reference", "non_reference", "reference"]


def test_vocal_imitation_set_ids_stay_unique(tmp_path):
    make_vis(tmp_path)
    originals = tmp_path / "original_recordings"
    (reference,) = originals.glob("reference/000*")
    write_sound(originals / "non_reference" / reference.name, 77)
    ids = read_vocal_imitation_set(tmp_path).items["item_id"]
    assert ids.is_unique and len(ids) == 14
    assert f"000/non_reference/{reference.name}" in set(ids)


def test_vocal_imitation_set_problems(tmp_path):
    make_vis(tmp_path)
    included = tmp_path / "vocal_imitations" / "included"
    write_sound(included / "555Nobody - 1.WAV", 1)
    with pytest.raises(DatasetError) as caught:
        read_vocal_imitation_set(tmp_path)
    assert caught.value.problems == ["vocal_imitations/included/555Nobody - 1.WAV has no reference"]
    with pytest.warns(DatasetWarning, match="left out 1 file: .*555Nobody"):
        assert len(read_vocal_imitation_set(tmp_path, allow_missing=True).queries) == 15
    write_sound(tmp_path / "original_recordings" / "reference" / "000 again.wav", 2)
    write_sound(included / "cat.wav", 3)
    with pytest.raises(DatasetError) as caught:
        read_vocal_imitation_set(tmp_path, allow_missing=False)
    text = str(caught.value)
    assert "concept 000 has two references" in text
    assert "cat.wav: expected a name that begins with three digits" in text


@pytest.mark.parametrize("second", ["vocal_imitaitons_set2.csv", "vocal_imitations_set2.csv"])
def test_vocalsketch(tmp_path, second):
    make_vocalsketch(tmp_path, second=second)
    dataset = read_vocalsketch(tmp_path)
    assert set(dataset.items["item_id"]) == {f"{label}/{file}" for file, label, _ in RECORDINGS}
    expected = {
        f"{label}/{label} - {n}.wav": f"{label}/{file}"
        for n, (file, label, _) in enumerate(RECORDINGS)
    }
    expected["guitar/guitar - 70.wav"] = "guitar/guitar_playing.wav"  # by sound_label_id
    expected["camera/camera - 71.wav"] = "camera/camera_capturing.wav"  # by label
    assert pairs(dataset) == expected
    assert sorted(dataset.queries["stimulus"].unique()) == ["sound label", "sound recording"]

    both = read_vocalsketch(tmp_path, second_set=True)
    assert len(both.queries) == 8 and both.queries["query_id"].is_unique
    twins = {q for q in both.queries["query_id"] if q.endswith("camera - 71.wav")}
    assert twins == {"camera/set1/camera - 71.wav", "camera/set2/camera - 71.wav"}


def test_vocalsketch_tables_with_the_two_columns_only(tmp_path):
    names = ["Abyss of Despair - 1.wav", "bass (bowed) - 2.wav"]
    for seed, file in enumerate(["abyss_of_despair.wav", "bass (bowed).wav"]):
        write_sound(tmp_path / "sound_recordings" / file, seed)
        write_sound(tmp_path / "vocal_imitations" / "included" / names[seed], seed + 9)
    (tmp_path / "sound_recordings.csv").write_text(
        "filename,sound_label\nabyss_of_despair.wav,\nbass (bowed).wav,bass (bowed)\n"
    )
    (tmp_path / "vocal_imitaitons.csv").write_text(
        f"filename,sound_label\n{names[0]},Abyss of Despair\n\n{names[1]},bass (bowed)\n"
    )
    assert pairs(read_vocalsketch(tmp_path)) == {
        "abyss of despair/Abyss of Despair - 1.wav": "abyss of despair/abyss_of_despair.wav",
        "bass (bowed)/bass (bowed) - 2.wav": "bass (bowed)/bass (bowed).wav",
    }


def test_vocalsketch_lists_all_that_is_wrong(tmp_path):
    extra = [
        "90,guitar - 90.wav,sound label,True,False,guitar,,,",  # which guitar?
        "91,ufo - 91.wav,sound label,True,False,ufo,,,",
        "92,camera - 92.wav,sound recording,True,False,camera,,camera_capturing.wav,",  # not there
    ]
    make_vocalsketch(tmp_path, extra)
    included = tmp_path / "vocal_imitations" / "included"
    for name in ("guitar - 90.wav", "ufo - 91.wav", "stray - 1.wav"):
        write_sound(included / name, 1)
    (tmp_path / "sound_recordings" / "bass_bowed.wav").unlink()
    with (
        pytest.warns(DatasetWarning, match="left out 1 file in no list.*stray - 1"),
        pytest.raises(DatasetError) as caught,
    ):
        read_vocalsketch(tmp_path)
    assert caught.value.problems == [
        "label 'guitar' fits guitar.wav and guitar_playing.wav; 1 imitation does not say which "
        "of them is meant",
        "missing sound_recordings/bass_bowed.wav",
        "vocal_imitations/included/ufo - 91.wav has no recording with label 'ufo'",
        "missing vocal_imitations/included/camera - 92.wav",
    ]


def test_vocalsketch_without_the_everyday_recordings(tmp_path):
    make_vocalsketch(tmp_path)
    (tmp_path / "sound_recordings" / "guitar_playing.wav").unlink()
    with pytest.warns(DatasetWarning, match="left out 3 files: sound_recordings/guitar_playing"):
        dataset = read_vocalsketch(tmp_path, allow_missing=True)
    assert len(dataset.items) == 4 and len(dataset.queries) == 5
    assert set(dataset.items["item_id"][dataset.items["class"] == "guitar"]) == {
        "guitar/guitar.wav"
    }


def test_vocalsketch_says_which_tables_and_columns_it_wants(tmp_path):
    make_vocalsketch(tmp_path, header="id,file,stimulus_type")
    with pytest.raises(DatasetError, match="(?s)no column 'filename'.*no column 'sound_label'"):
        read_vocalsketch(tmp_path)
    (tmp_path / "vocal_imitations.csv").unlink()
    with pytest.raises(DatasetError, match="neither vocal_imitations.csv nor vocal_imitaitons.csv"):
        read_vocalsketch(tmp_path)


def test_one_imitation_of_two_recordings(tmp_path):
    again = "90,camera - 1.wav,sound recording,True,False,guitar,,guitar.wav,"
    make_vocalsketch(tmp_path, [again, again.replace("guitar.wav", "camera_capturing.wav")])
    with pytest.raises(DatasetError, match="camera - 1.wav is listed for two recordings") as caught:
        read_vocalsketch(tmp_path)
    assert len(caught.value.problems) == 1


def test_qvim_names_queries_that_the_table_does_not_list(tmp_path):
    for name in ("Items/Dog/a.wav", "Queries/Dog/q1.wav", "Queries/Dog/q2.wav"):
        write_sound(tmp_path / name, 1)
    (tmp_path / "DEV Dataset.csv").write_text(
        "banner\nLabel,Class,Items,Query 1,Query 2,Query 3\n,Dog,a,q1.WAV,,\n"
    )
    with pytest.warns(DatasetWarning, match="left out 1 file in no list.*Queries/Dog/q2.wav"):
        assert pairs(read_qvim_dev(tmp_path)) == {"Dog/q1.wav": "Dog/a.wav"}


def test_qvim_names_sounds_in_no_class_or_below_one(tmp_path):
    there = ("Items/Dog/a.wav", "Items/Dog/b.wav", "Queries/Dog/q.wav")
    stray = ("Queries/z.wav", "Items/Dog/old/c.wav", "Items/d.wav")
    for name in (*there, *stray):
        write_sound(tmp_path / name, 1)
    table = tmp_path / "DEV Dataset.csv"
    header = "banner\nLabel,Class,Items,Query 1,Query 2,Query 3\n"
    table.write_text(f"{header},Dog,a,q,,\n")
    with pytest.warns(DatasetWarning, match="left out 3 files in no list") as record:
        dataset = read_qvim_dev(tmp_path)
    assert set(record[0].message.names) == set(stray)
    assert list(dataset.items["item_id"]) == ["Dog/a.wav", "Dog/b.wav"]
    told = str(audit(tmp_path))
    assert all(name in told for name in stray)
    table.write_text(f"{header},Dog,old/c.wav,q,,\n")
    with pytest.warns(DatasetWarning, match="left out 2 files in no list"):
        assert pairs(read_qvim_dev(tmp_path)) == {"Dog/q.wav": "Dog/old/c.wav"}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_qvim_follows_a_linked_class(tmp_path):
    for name in ("own/Items/Dog/a.wav", "elsewhere/q.wav"):
        write_sound(tmp_path / name, 1)
    (tmp_path / "own" / "Queries").mkdir()
    (tmp_path / "own" / "Queries" / "Dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "own" / "DEV Dataset.csv").write_text(
        "banner\nLabel,Class,Items,Query 1,Query 2,Query 3\n,Dog,a,q,,\n"
    )
    assert pairs(read_qvim_dev(tmp_path / "own")) == {"Dog/q.wav": "Dog/a.wav"}
