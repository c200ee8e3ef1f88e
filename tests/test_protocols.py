from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from published_layouts import make_vimsketch, make_vis, make_vocalsketch

from qvim_kit.cli import main
from qvim_kit.datasets import RetrievalDataset, read_vimsketch, read_vocal_imitation_set
from qvim_kit.datasets.mini import build_mini
from qvim_kit.datasets.splits import candidate_groups
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import mobilenet
from qvim_kit.protocols import coarse_folds, doubt, run_coarse, run_fine, training_parts
from qvim_kit.systems import QVIMModel, Random, TwoDFT
from qvim_kit.training import presets

KEYS = [f"{n:03}{c}nimal_sound {n}" for n, c in enumerate("ABCDEF")]


@pytest.fixture
def vimsketch(tmp_path):
    folder = tmp_path / "vimsketch"
    make_vimsketch(folder, keys=KEYS)
    return read_vimsketch(folder if (folder / "references").exists() else next(folder.iterdir()))


class Perfect(QVIMModel):
    """Knows the answers; what it is asked about more than once it gets right each time."""

    name = "perfect"

    def __init__(self, dataset):
        self.answers = dict(
            zip(dataset.queries["query_id"], dataset.queries["item_id"], strict=True)
        )

    def compute_similarities(self, items, queries):
        return {q: {i: float(self.answers[q] == i) for i in items} for q in queries}


def test_coarse_tests_each_concept_once_against_others_of_its_fold(vimsketch):
    folds = coarse_folds(vimsketch)
    assert len(folds) == len(KEYS)
    table = run_coarse(Perfect(vimsketch), folds)
    assert list(table.index[-2:]) == ["mean", "std"] and len(table) == len(KEYS) + 2
    assert table["queries"].iloc[:-2].sum() == len(vimsketch.queries)
    assert (table["MRR"].iloc[:-1] == 1).all() and table.loc["std", "MRR"] == 0


def test_fine_is_the_mean_over_concepts(tmp_path):
    make_vis(tmp_path / "vis")
    dataset = read_vocal_imitation_set(tmp_path / "vis")
    groups = candidate_groups(dataset)
    perfect = run_fine(Perfect(dataset), dataset)
    assert (perfect["value"] == 1).all() and f"of {len(groups)} concepts" in perfect.index[0]
    assert perfect["random"].iloc[0] == pytest.approx(
        np.mean([sum(1 / n for n in range(1, len(g.items) + 1)) / len(g.items) for g in groups])
    )
    table = Random(1).compute_similarities(dataset.item_paths, dataset.query_paths)
    concepts = []
    for group in groups:
        values = []
        for query in group.queries.to_dict("records"):
            row = {item: table[query["query_id"]][item] for item in group.items["item_id"]}
            order = sorted(row, key=row.get, reverse=True)
            values.append(1 / (order.index(query["item_id"]) + 1))
        concepts.append(np.mean(values))
    assert run_fine(Random(1), dataset)["value"].iloc[0] == pytest.approx(np.mean(concepts))


def test_fine_intervals_are_of_the_values_beside_them():
    """Four concepts with many queries, which are ranked by chance, and 36 with few, all right."""
    rng, items, queries = np.random.default_rng(0), [], []
    for concept in (f"{n:02}" for n in range(40)):
        kinds = ["reference"] + ["non_reference"] * 4
        items += [(f"{concept}/{n}.wav", "x", concept, kind) for n, kind in enumerate(kinds)]
        count = 60 if concept < "04" else 3
        queries += [(f"{concept}/q{n}.wav", "x", concept, items[-5][0]) for n in range(count)]
    dataset = RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class", "kind"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
    )
    scores = rng.random((len(queries), len(items)))
    place = {item: column for column, item in enumerate(dataset.items["item_id"])}
    for row, query in enumerate(dataset.queries.itertuples()):
        scores[row, place[query.item_id]] += query.item_id >= "04"

    class Uneven(QVIMModel):
        name = "uneven"

        def compute_similarities(self, items, queries):
            table = pd.DataFrame(scores, dataset.queries["query_id"], dataset.items["item_id"])
            return table.loc[list(queries), list(items)].T.to_dict()

    table = run_fine(Uneven(), dataset)
    assert table.loc["R@1", "value"] < 0.6 < 0.8 < table["value"].iloc[0]
    assert (table["low"] < table["value"]).all() and (table["value"] < table["high"]).all()


@pytest.mark.parametrize("preset", ["laptop", "frozen-head", "aes-baseline", "greif-fine"])
def test_training_parts_share_no_class(vimsketch, preset):
    parts = training_parts(preset, vimsketch, fold=1)
    classes = [set(part.queries["class"]) for part in parts]
    assert not classes[0] & classes[1] and not (classes[0] | classes[1]) & classes[2]
    assert set().union(*classes) == set(vimsketch.queries["class"])


def test_training_parts_test_what_the_folds_test(vimsketch):
    for number, (_, _, test) in enumerate(coarse_folds(vimsketch)):
        part = training_parts("laptop", vimsketch, number)[2]
        assert set(part.queries["class"]) == set(test.queries["class"])


def test_one_imitation_of_a_class_is_enough_to_train_a_preset_that_shares_no_class(vimsketch):
    single = RetrievalDataset(vimsketch.items, vimsketch.queries.drop_duplicates("class"), "own")
    sizes = [len(part.queries) for part in training_parts("laptop", single, fold=0)]
    assert sizes == [len(KEYS) - 2, 1, 1]
    with pytest.raises(ValueError, match="no concept has two imitations"):
        training_parts("greif-coarse", single, fold=0)


def test_a_fold_that_is_not_there(vimsketch):
    with pytest.raises(ValueError, match="fold: found 6, expected 0 to 5"):
        training_parts("laptop", vimsketch, fold=6)


def test_commands_train_and_test(vimsketch, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    torch.manual_seed(0)
    torch.save(mobilenet(0.1).state_dict(), tmp_path / "cache" / "mn01_as_mAP_298.pt")
    small = replace(presets.laptop(epochs=1), encoder="mn01_as", duration=0.25)
    monkeypatch.setitem(presets.PRESETS, "laptop", lambda: small)
    data, run = str(tmp_path / "vimsketch"), str(tmp_path / "run")
    arguments = ["train", "--preset", "laptop", "--data", data, "-o", run, "--batch-size", "4"]
    assert main(arguments) == 0, capsys.readouterr().err
    assert "best validation MRR" in capsys.readouterr().out
    assert DualEncoder.from_pretrained(f"{run}/model").duration == 0.25
    for system in (f"{run}/model", "2dft"):
        coarse = ["test", "--protocol", "coarse", "--system", system, "--data", data]
        assert main([*coarse, "--fold", "2"]) == 0, capsys.readouterr().err
        out = capsys.readouterr().out
        assert "fold 2" in out and "fold 1" not in out and "0.0860  random" in out
    assert main(arguments) == 1  # a folder with a run is not overwritten
    assert "run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("preset", "make", "extra"),
    [
        ("greif-coarse", make_vimsketch, ["--fold", "1", "--roll"]),
        ("aes-baseline", make_vimsketch, []),
        ("frozen-head", make_vimsketch, []),
        ("greif-fine", make_vocalsketch, []),
        ("laptop", make_vis, []),
    ],
)
def test_every_preset_trains_on_a_published_layout(
    tmp_path, monkeypatch, capsys, preset, make, extra
):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    torch.save(mobilenet(0.1).state_dict(), tmp_path / "cache" / "mn01_as_mAP_298.pt")
    full = presets.PRESETS[preset]

    def small(**options):
        return replace(full(**options), encoder="mn01_as", duration=0.25)

    monkeypatch.setitem(presets.PRESETS, preset, small)
    make(tmp_path / "data")
    arguments = ["--data", str(tmp_path / "data"), "-o", str(tmp_path / "run"), *extra]
    limits = ["--epochs", "1", "--batch-size", "4"]
    assert main(["train", "--preset", preset, *arguments, *limits]) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "model" / "card.json").is_file()


def test_other_data_than_qvim_dev_are_told_beside_its_published_numbers(tmp_path, capsys):
    folder = build_mini(tmp_path / "qvim-dev", ["Bell", "Rain"], 2)  # by its name it could be
    command = ["test", "--protocol", "qvim-dev", "--system", "2dft", "--data", str(folder)]
    assert main(command) == 0
    out = capsys.readouterr().out
    (note,) = [line for line in out.splitlines() if line.startswith("note: ")]
    assert "qvim-dev is not QVIM-dev as published (4 items, published 125; 8 queries" in note
    assert out.index("MRR") < out.index(note) < out.index("0.2726  MobileNet baseline")


def test_nothing_is_doubted_of_the_published_set():
    items = [(f"c/{n}.wav", f"/nowhere/i{n}.wav", "c") for n in range(125)]
    queries = [(f"c/q{n}.wav", f"/nowhere/q{n}.wav", "c", f"c/{n % 121}.wav") for n in range(985)]
    dataset = RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
        "under another name",
    )
    assert doubt("qvim-dev", dataset) == ""
    one_less = RetrievalDataset(dataset.items, dataset.queries[1:], "qvim-dev")
    assert "984 queries, published 985" in doubt("qvim-dev", one_less)
    assert doubt("fine", one_less) == doubt("coarse", one_less) == doubt("clotho", one_less) == ""


def test_mistakes_on_the_command_line_are_named(vimsketch, tmp_path, capsys):
    data = str(tmp_path / "vimsketch")
    for arguments, message in (
        (["train", "--preset", "big", "--data", data, "-o", "x"], "--preset big: expected one of"),
        (
            ["train", "--preset", "laptop", "--roll", "--data", data, "-o", "x"],
            "--roll: the preset",
        ),
        (
            ["test", "--protocol", "coarse", "--system", "mfcc", "--data", data],
            "system: found 'mfcc', expected",
        ),
        (
            ["test", "--protocol", "fine", "--system", "2dft", "--data", "vimsketch"],
            "data fetch vim",
        ),
        (
            ["test", "--protocol", "coarse", "--system", "2dft", "--data", data, "--fold", "99"],
            "--fold 99: expected all or 0 to 5",
        ),
    ):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err


def test_published_sample_rate_and_duration_reach_the_system():
    from qvim_kit.systems.named import system_by_name

    system = system_by_name("2dft", 8_000, 15.4)
    assert isinstance(system, TwoDFT) and (system.sample_rate, system.duration) == (8_000, 15.4)
