import pytest
from published_layouts import make_vimsketch
from stand_ins import concepts_of_imitations as make
from stand_ins import ids, random_mrr

from qvim_kit.datasets import DatasetError, RetrievalDataset, read_vimsketch
from qvim_kit.datasets.folds import category_folds, concepts_to_test, read_folds

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("concepts", "folds"), [(11, 10), (11, 3), (5, 5)])
def test_folds_are_disjoint_by_category(seed, concepts, folds):
    whole = make(concepts)
    result = category_folds(whole, folds, seed)
    assert len(result) == folds
    tested = []
    for train, validation, test in result:
        assert sorted(ids(train, validation, test)) == sorted(ids(whole))  # each exactly once
        unseen = set(test.queries["class"])
        seen = set(train.queries["class"]) | set(validation.queries["class"])
        assert not unseen & seen and unseen | seen == set(whole.items["class"])
        assert set(test.items["class"]) == unseen
        assert len(test.items) == 5 * len(unseen)
        for part in (train, validation):
            assert set(part.items["class"]) == seen
        assert validation.queries["class"].value_counts().to_dict() == dict.fromkeys(seen, 3)
        tested.append(unseen)
    assert sorted(c for unseen in tested for c in unseen) == sorted(whole.items["class"].unique())
    sizes = [len(unseen) for unseen in tested]
    assert max(sizes) - min(sizes) <= 1
    assert [part.name for part in result[1]] == [
        f"toy, fold 1 of {folds}: {part}" for part in ("train", "validation", "test")
    ]


def test_folds_depend_on_the_seed_and_not_on_the_order_of_rows():
    whole = make()
    turned = RetrievalDataset(whole.items[::-1], whole.queries[::-1], "toy")
    test = [set(ids(fold[2])) for fold in category_folds(whole, 3)]
    assert [set(ids(fold[2])) for fold in category_folds(turned, 3)] == test
    assert [set(ids(fold[2])) for fold in category_folds(whole, 3, seed=1)] != test


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_tested_is_known_without_the_folds(seed):
    concepts = [set(some) for some in concepts_to_test(make(), 3, seed)]
    assert concepts == [set(fold[2].queries["class"]) for fold in category_folds(make(), 3, seed)]


def test_the_random_mrr_of_a_fold_is_that_of_its_own_concepts():
    """53 unseen concepts of one reference each have a random MRR of .086, as published."""
    test = category_folds(make(106, items=1, queries=4, strangers=0), 2)[0][2]
    assert len(test.items) == 53
    assert random_mrr(test) == pytest.approx(0.0860, abs=5e-5)


def test_few_imitations_leave_one_for_training():
    for train, validation, _ in category_folds(make(items=1, queries=2), 4):
        assert set(train.queries["class"].value_counts()) == {1}
        assert set(validation.queries["class"].value_counts()) == {1}


@pytest.mark.parametrize("folds", [0, 1, 12])
def test_folds_need_concepts(folds):
    with pytest.raises(ValueError, match=f"{folds} category-disjoint folds cannot be made of 11"):
        category_folds(make(), folds)
    with pytest.raises(ValueError, match="no concept has two imitations"):
        category_folds(make(items=1, queries=1), 2)


def write_folds(folder, folds):
    """As published: an index without name, tabs, every row of most files twice."""
    for number, parts in enumerate(folds):
        for part, names in parts.items():
            lines = ["\tfilename\tscene_label"]
            for index, name in enumerate(names):
                row = f"{index}\tvocal_imitations/{name}\t{name[6:10]}"
                lines += [row] * (1 if part == "test" else 2)
            path = folder / f"fold{number}" / f"{part}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


def published_folds(queries):
    """Three folds over the five concepts of the small VimSketch; one concept is in none."""
    by_key = {}
    for name in queries:
        by_key.setdefault(name[6:], []).append(name)
    *used, _ = by_key.values()
    folds = []
    for number in range(3):
        rest = [names for n, names in enumerate(used) if n != number]
        folds.append(
            {
                "train": [name for names in rest for name in names[3:]],
                "val": [name for names in rest for name in names[:3]],
                "test": used[number],
            }
        )
    return folds


@pytest.fixture
def vimsketch(tmp_path):
    _, queries = make_vimsketch(tmp_path / "vimsketch", imitations=5)
    return read_vimsketch(tmp_path / "vimsketch"), published_folds(queries)


def test_published_folds(tmp_path, vimsketch):
    dataset, folds = vimsketch
    write_folds(tmp_path / "coarse grained" / "splits", folds * 4)  # fold10 comes after fold9
    (tmp_path / "coarse grained" / "splits" / "meta.csv").write_text("not looked at")
    read = read_folds(tmp_path / "coarse grained", dataset)
    assert len(read) == 12
    for fold, wanted in zip(read, folds * 4, strict=True):
        for part, names in zip(fold, wanted.values(), strict=True):
            assert sorted(query.split("/")[1] for query in ids(part)) == sorted(names)
        assert set(fold[2].items["class"]) == {name[6:10] for name in wanted["test"]}
        assert not set(fold[0].queries["class"]) & set(fold[2].queries["class"])
    assert read[10][2].name == "VimSketch, published fold10: test"


def test_published_folds_with_unknown_names(tmp_path, vimsketch):
    dataset, folds = vimsketch
    folds[0]["train"] += ["77777_000Animal_Nobody.wav"]
    folds[2]["test"] += ["88888_020Animal_Nobody.wav", "88889_020Animal_Nobody.wav"]
    write_folds(tmp_path, folds)
    path = tmp_path / "fold1" / "val.csv"
    path.write_text(path.read_text().replace("\t000A", "\t999X", 1))
    with pytest.raises(DatasetError) as caught:
        read_folds(tmp_path, dataset)
    problems = caught.value.problems
    assert len(problems) == 4
    assert "fold0/train.csv: 77777_000Animal_Nobody.wav is unknown" in problems
    assert sum("fold2/test.csv: 8888" in line for line in problems) == 2
    assert sum("has label 999X, in the data set 000A" in line for line in problems) == 1


def test_published_folds_that_leak_or_are_not_there(tmp_path, vimsketch):
    dataset, folds = vimsketch
    with pytest.raises(DatasetError, match="there is no fold0"):
        read_folds(tmp_path, dataset)
    folds[1]["test"] += folds[1]["train"][:1]
    write_folds(tmp_path, folds)
    with pytest.raises(DatasetError, match="fold1: train and .*fold1: test"):
        read_folds(tmp_path, dataset)
    (tmp_path / "fold2" / "val.csv").unlink()
    (tmp_path / "fold0" / "test.csv").unlink()
    with pytest.raises(DatasetError, match="(?s)no fold0/test.csv.*no fold2/val.csv"):
        read_folds(tmp_path, dataset)
