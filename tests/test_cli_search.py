import os
import re
import shutil

import numpy as np
import pytest
import soundfile

from qvim_kit.cli import main
from qvim_kit.models.storage import SHIPPED
from qvim_kit.systems import TwoDFT, named
from qvim_kit.widgets.takes import make_take

RATE = 8_000

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def library(tmp_path):
    """Pulses, fast and slow, in two folders."""
    rng = np.random.default_rng(0)
    for kind, rates in (("Fast", (8, 9, 10)), ("Slow", (2, 3))):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        for rate in rates:
            pulses = np.sin(np.pi * rate * np.arange(2 * RATE) / RATE) ** 20
            noise = 0.3 * rng.normal(size=2 * RATE)
            path = tmp_path / "sounds" / kind / f"é {rate}.wav"
            soundfile.write(path, pulses * noise, RATE)
            os.utime(path, (1e9, 1e9))  # a file just written would be looked at again
    return tmp_path / "sounds"


def run(capsys, *arguments):
    code = main([*map(str, arguments), "--system", "2dft"])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def refused(capsys, message, *arguments):
    code, out, err = run(capsys, *arguments)
    assert code == 1 and not out and message in err
    assert err.startswith("qvim: ") and err.count("\n") == 1


def test_index_then_search(library, capsys, tmp_path):
    code, out, err = run(capsys, "index", library)
    assert code == 0 and not out
    assert "\n5 sounds in 2 classes, indexed with 2DFT (5 new; " in err
    query = library / "Slow" / "é 3.wav"
    code, out, err = run(capsys, "search", library, query, "-k", "3")
    assert code == 0 and err.startswith("5 sounds in 2 classes") and "(nothing new; " in err
    assert out[0].startswith("é 3.wav among 5 sounds, ")
    assert len(out) == 4 and out[1] == "1   1.000  Slow/é 3.wav"
    assert len(list((tmp_path / "cache" / "indexes").iterdir())) == 1


def test_search_builds_what_is_needed_and_keeps_up(library, capsys):
    query = library.parent / "query.wav"
    shutil.copy(library / "Fast" / "é 9.wav", query)
    _, out, err = run(capsys, "search", library, query)
    assert "(5 new" in err and len(out) == 6 and out[1].endswith("1.000  Fast/é 9.wav")
    shutil.move(library / "Fast" / "é 9.wav", library / "moved.wav")
    (library / "bad.wav").write_bytes(b"")
    code, out, err = run(capsys, "search", library, query)
    assert code == 0 and "(1 new, 1 gone; " in err and "1 file left out" in err
    assert out[1].endswith("1.000  moved.wav")


def test_filters(library, capsys):
    query = library / "Slow" / "é 3.wav"
    _, out, _ = run(capsys, "search", library, query, "--class", "Fast")
    assert out[0].startswith("é 3.wav among 3 of 5 sounds, ") and len(out) == 4
    _, out, _ = run(capsys, "search", library, query, "--class", "Fast", "--class", "Slow")
    assert len(out) == 6
    _, out, _ = run(capsys, "search", library, query, "--contains", "É FAST 10")
    assert len(out) == 2 and out[1].endswith("Fast/é 10.wav")
    _, out, _ = run(capsys, "search", library, query, "--class", "SLOW", "-k", "1")
    assert out[0].startswith("é 3.wav among 2 of 5 sounds, ") and len(out) == 2


def test_a_filter_that_nothing_passes_is_told_before_anything_is_embedded(library, capsys):
    query = library / "Slow" / "é 3.wav"
    for options, message in (
        (["--contains", "thunder"], "--contains 'thunder': no sound has that in its name"),
        (["--contains", "fast thunder"], "no sound has all that in its name"),
        (["--contains", "2", "--class", "Fast"], "no sound of --class Fast has that"),
        (["--class", "fist"], "--class fist: no sound has it, did you mean Fast?"),
    ):
        refused(capsys, message, "search", library, query, *options)
    refused(
        capsys, "--class Slow: the library has no classes", "search", query.parent, query,
        "--class", "Slow",
    )  # fmt: skip
    assert not (library.parent / "cache").exists()


def test_an_index_in_a_folder_of_ones_own(library, capsys, tmp_path):
    code, _, _ = run(capsys, "index", library, "-o", tmp_path / "mine")
    assert code == 0 and (tmp_path / "mine" / "index.json").is_file()
    refused(capsys, "wav: found a file", "index", library, "-o", library / "Slow" / "é 2.wav")
    assert not (tmp_path / "cache" / "indexes").exists()
    query = shutil.copy(library / "Slow" / "é 2.wav", tmp_path)
    _, out, err = run(capsys, "search", tmp_path / "mine", query)
    assert "(nothing new" in err and out[1].endswith("Slow/é 2.wav")
    os.rename(library, tmp_path / "moved")
    refused(capsys, "if they were moved, index them where", "search", tmp_path / "mine", query)
    code, _, err = run(capsys, "index", tmp_path / "moved", "-o", tmp_path / "mine")
    assert code == 0 and "(5 new, 5 gone; " in err
    (tmp_path / "mine" / "index.json").write_text('{"format"')
    refused(capsys, "9 bytes that are no whole JSON file", "search", tmp_path / "mine", query)


def test_index_names_what_no_voice_can_find(library, capsys):
    """On stderr: the index is made, so the exit code is that of `qvim search`, which leaves out."""
    (library / "Slow" / "bad.wav").write_bytes(b"")
    code, _, err = run(capsys, "index", library)
    assert code == 0 and "5 sounds in 2 classes, " in err
    assert "\n1 file cannot be found by a voice:\n  Slow/bad.wav: is empty (0 bytes)" in err
    for number in range(21):
        soundfile.write(library / f"silent {number:02}.wav", np.zeros(RATE), RATE)
    lines = run(capsys, "index", library)[2].splitlines()[-12:]
    assert lines[0] == "22 files cannot be found by a voice:" and lines[-1] == "  … and 12 more"
    assert sum(": is silent in the 5 s that are heard" in line for line in lines) in (9, 10)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(RATE), "Nothing was heard in q.wav (digital silence)"),
        (np.ones(RATE) / 5e3, "Nothing was heard in q.wav (at most -74 dBFS)"),
        (np.ones(RATE // 20) / 2, "q.wav lasts only 0.050 s, expected at least 0.1 s"),
    ],
)
def test_a_recording_is_judged_as_in_the_page(library, capsys, tmp_path, wave, message):
    soundfile.write(tmp_path / "q.wav", wave, RATE, subtype="FLOAT")
    refused(capsys, message, "search", tmp_path / "nowhere", tmp_path / "q.wav")
    with pytest.raises(ValueError, match=re.escape(message)):
        make_take("q.wav", wave, RATE, "file")


def test_of_a_long_recording_the_beginning_is_searched(library, capsys, tmp_path):
    sound, _ = soundfile.read(library / "Slow" / "é 3.wav")
    long = np.concatenate([np.tile(sound, 6), np.random.default_rng(1).normal(size=8 * RATE)])
    soundfile.write(tmp_path / "long.wav", np.clip(long, -0.9, 0.9), RATE)
    soundfile.write(tmp_path / "first.wav", long[: 12 * RATE], RATE)
    code, out, err = run(capsys, "search", library, tmp_path / "long.wav")
    warning = make_take("long.wav", long, RATE, "file").warning
    assert code == 0 and err.startswith(f"qvim: warning: long.wav: {warning}\n")
    assert "longer than 12 s: only its beginning is used" in warning
    assert out[1:] == run(capsys, "search", library, tmp_path / "first.wav")[1][1:]


def test_what_cannot_be_is_one_line(library, capsys, tmp_path):
    query = library / "Slow" / "é 3.wav"
    (tmp_path / "none").mkdir()
    for arguments, message in (
        (("index", tmp_path / "absent"), "absent: found nothing, expected a folder of sounds"),
        (("index", query), "found a file, expected a folder of sounds"),
        (("index", tmp_path / "none"), "no audio files in it"),
        (("search", library, tmp_path / "absent.wav"), "absent.wav: no such file"),
        (("search", library, query, "-k", "0"), "-k 0: expected 1 or more"),
    ):
        refused(capsys, message, *arguments)


@pytest.fixture
def queries(library, monkeypatch):
    """The library as Items of QVIM-dev in the data folder, each imitated by itself, but softer."""
    root = library.parent / "data" / "qvim-dev"
    shutil.copytree(library, root / "Items")
    rows = ["title", "Label,Class,Items,Query 1,Query 2,Query 3"]
    for path in sorted(library.rglob("*.wav")):
        sound, rate = soundfile.read(path)
        query = root / "Queries" / path.parent.name / f"q {path.name}"
        query.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(query, sound / 2, rate)
        rows.append(f",{path.parent.name},{path.name},{query.name},,")
    (root / "DEV Dataset.csv").write_text("\n".join(rows), encoding="utf-8")
    monkeypatch.setenv("QVIM_DATA", str(root.parent))
    monkeypatch.chdir(library)
    return root / "Queries"


def test_of_a_data_set_only_the_items_are_searched(queries, capsys):
    query = queries / "Slow" / "q é 3.wav"
    for folder in (queries.parent, queries.parent.parent, "qvim-dev"):
        code, out, err = run(capsys, "search", folder, query)
        assert code == 0 and "qvim-dev is a data set: only its 5 items can be found\n" in err
        assert out[0].startswith("q é 3.wav among 5 sounds") and out[1].endswith("  Slow/é 3.wav")
        assert len(out) == 6
    code, _, err = run(capsys, "index", "qvim-dev")
    assert code == 0 and "5 sounds in 2 classes, indexed with 2DFT (nothing new" in err
    query.unlink()  # which does not matter to who searches the items
    with pytest.warns(UserWarning, match="left out 1 file"):
        assert run(capsys, "index", "qvim-dev")[0] == 0


def test_a_folder_is_no_data_set_because_it_is_called_so_or_holds_one(queries, library, capsys):
    shutil.copytree(library / "Slow", library / "vimsketch")
    _, out, err = run(capsys, "search", "vimsketch", library / "Slow" / "é 3.wav")
    assert len(out) == 3 and "data set" not in err
    shutil.copytree(library / "Slow", queries.parent.parent / "others")
    _, out, err = run(capsys, "search", queries.parent.parent, library / "Slow" / "é 3.wav")
    assert "among 12 sounds" in out[0] and "data set" not in err
    (library / "captions.csv").write_text("file_name;caption")  # a voice needs no captions
    _, out, err = run(capsys, "search", library, library / "Slow" / "é 3.wav")
    assert "among 7 sounds" in out[0] and "data set" not in err
    refused(capsys, "or the name of a data set: qvim-mini, qvim-dev", "index", "qvim-deb")


def test_a_wrong_folder_fails_before_a_system_is_loaded(library, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(named, "system_by_name", lambda name: pytest.fail("was loaded"))
    refused(capsys, "found nothing", "index", tmp_path / "absent")
    refused(capsys, "found nothing", "search", tmp_path / "absent", next(library.rglob("*.wav")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m-vgish", "found 'm-vgish', expected one of 2dft, m-vggish, .*did you mean m-vggish"),
        ("mn05-as", "did you mean mn0"),
        ("./nowhere", "expected one of .*, or a folder or file of weights that is there$"),
    ],
)
def test_unknown_systems_are_told_with_close_names(name, message):
    assert named.check_system("MN04_as") == "mn04_as"
    with pytest.raises(ValueError, match=message):
        named.check_system(name)


def test_a_system_is_a_name_a_folder_or_a_file_of_weights(tmp_path):
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    for suffix, name in ((".safetensors", "model.safetensors"), (".json", "card.json")):
        shutil.copy(SHIPPED / f"qvim-mn04{suffix}", folder / name)
    systems = [named.system_by_name(one) for one in ("QVIM-MN04", folder, folder / "card.json")]
    assert len({system.fingerprint("query") for system in systems}) == 1
    assert [system.name for system in systems] == ["qvim-mn04", "model", "model"]
    assert isinstance(named.system_by_name("2DFT"), TwoDFT)
    with pytest.raises(ValueError, match=r"no card.json.*expected such as .*model"):
        named.system_by_name(tmp_path / "run")


def test_a_name_goes_before_a_file_or_folder_that_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qvim-mn04").mkdir()
    (tmp_path / "2dft").touch()
    assert named.system_by_name("qvim-mn04").name == named.check_system("qvim-mn04") == "qvim-mn04"
    assert named.check_system("2dft") == "2dft"
    assert named.check_system("./2dft") == str(tmp_path / "2dft")


def test_words_need_a_system_that_reads_them(library, capsys):
    assert main(["search", str(library), "--system", "2dft", "--text", "a dog"]) == 1
    assert "--text: 2DFT reads no words" in capsys.readouterr().err
    assert main(["search", str(library), "--system", "2dft"]) == 1
    assert "found neither, expected either a recording or --text" in capsys.readouterr().err
    refused(capsys, "--text: found no words", "search", library.parent / "nowhere", "--text", " ")
    assert not (library.parent / "cache" / "indexes").exists()


def test_long_words_are_shortened_where_they_are_repeated(library, capsys, monkeypatch):
    class Reader(TwoDFT):
        def embed_text(self, texts):
            return np.ones((1, 39_438))

    monkeypatch.setattr(named, "system_by_name", lambda name: Reader())
    _, out, _ = run(capsys, "search", library, "--text", "a  dog " + 50 * "barks ")
    assert out[0].startswith("'a dog barks barks") and " …' among 5 sounds" in out[0]
    assert len(out[0]) < 100


def test_the_recording_may_follow_the_options(library, capsys):
    query = next(library.rglob("*.wav"))
    assert main(["search", str(library), "--system", "2dft", "-k", "1", str(query)]) == 0
    assert query.name in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["search", str(library), "-k", "1", str(query), "another.wav"])
