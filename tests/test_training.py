"""Training on a tiny data set: what is learnt, kept, repeated and refused."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import qvim_kit
from qvim_kit import metrics
from qvim_kit.audio import load_audio
from qvim_kit.augment import Recipe, Roll, greif
from qvim_kit.datasets import RetrievalDataset, read_qvim_dev
from qvim_kit.datasets.mini import build_mini
from qvim_kit.datasets.splits import split_by_item
from qvim_kit.evaluation import relevance
from qvim_kit.losses import NTXent
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import MobileNet, mobilenet
from qvim_kit.systems import DualEncoderSystem
from qvim_kit.training import Constant, LeakageError, WarmupCosine, WaveformCache, fit
from qvim_kit.training import presets as preset_module
from qvim_kit.training.checking import CHECKS, FIXED
from qvim_kit.training.frozen_head import Embeddings, HeadOnly
from qvim_kit.training.keeping import make_logger
from qvim_kit.training.pairs import EpochOrder, Pairs, Share
from qvim_kit.training.presets import PRESETS, frozen_head, laptop


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny batches are faster so, and sums always have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> RetrievalDataset:
    """Two classes of two items, two queries of each."""
    folder = tmp_path_factory.mktemp("mini") / "qvim-mini"
    return read_qvim_dev(build_mini(folder, ["Bell", "Siren"], 2))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> WaveformCache:
    return WaveformCache(tmp_path_factory.mktemp("waveforms"))


@pytest.fixture
def parts(mini):
    """Three items with six queries to learn from, one item with two queries to validate."""
    return split_by_item(mini, 0.25)


@pytest.fixture
def run(parts, tmp_path, cache):
    """fit on the parts, quickly: three steps an epoch."""

    def fitted(name="run", model=None, data=parts, **changes):
        settings = {"epochs": 1, "batch_size": 2, "schedule": Constant(1e-3)}
        settings |= {"labels": None, "seed": 1, "logger": None, "cache": cache, "progress": False}
        settings |= {"folder": tmp_path / name, **changes}
        return fit(new_model() if model is None else model, *data, **settings)

    return fitted


def new_model(**options) -> DualEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return DualEncoder(mobilenet(0.1), **{"duration": 0.5, **options})


def differing(first: torch.nn.Module, second: torch.nn.Module) -> list[str]:
    others = second.state_dict()
    return [k for k, v in first.state_dict().items() if not torch.equal(v, others[k])]


def plant(monkeypatch, values):
    """Validation MRRs, in order."""
    planted = iter(values)
    monkeypatch.setattr(metrics, "mean_reciprocal_rank", lambda *_, **__: next(planted))


class Watch(Callback):
    """Calls back with (module, epoch, batch) after each step."""

    def __init__(self, call):
        self.call = call

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.call(module, trainer.current_epoch, batch_idx)


# What is learnt


def test_validation_mrr_is_that_of_the_kit(run, parts, mini):
    _, validation = parts
    validation = RetrievalDataset(mini.items, validation.queries, "among all items")
    result = run(data=(parts[0], validation), epochs=2, leakage="shared items")
    sides = (validation.queries["path"], validation.items["path"])
    waveforms = [np.stack([load_audio(p, 32_000, 0.5) for p in side]) for side in sides]
    with torch.no_grad():
        queries = result.model.embed_queries(torch.from_numpy(waveforms[0]))
        items = result.model.embed_items(torch.from_numpy(waveforms[1]))
    similarity = (queries @ items.T).numpy()
    expected = metrics.mean_reciprocal_rank(similarity, relevance(validation)[0])
    assert result.best_mrr == pytest.approx(expected)
    assert result.best_mrr == result.history["val_mrr"].max()


def test_the_loss_falls(run):
    result = run(epochs=6, batch_size=3, labels="item", seed=0)
    assert result.history["train_loss"].iloc[-1] < 0.7 * result.history["train_loss"].iloc[0]
    assert list(result.history["epoch"]) == list(range(6))
    assert list(result.history["step"]) == [2, 4, 6, 8, 10, 12]


def test_a_step_is_that_of_a_plain_loop(run, parts, cache):
    """One epoch without Lightning: the same weights."""
    result = run(optimizer=torch.optim.SGD, schedule=Constant(0.01))
    model, loss = new_model().train(), NTXent()
    pairs = Pairs(parts[0], cache, 16_000, labels=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    order = list(EpochOrder(len(pairs), 1))
    for first in range(0, 6, 2):
        batch = zip(pairs[order[first]], pairs[order[first + 1]], strict=True)
        queries, items, labels = map(torch.stack, batch)
        optimizer.zero_grad()
        loss(model.embed_queries(queries), model.embed_items(items), labels).backward()
        optimizer.step()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[key], value)
    weight = "query_tower.trunk.features.16.0.weight"
    assert not torch.allclose(model.state_dict()[weight], new_model().state_dict()[weight])


def test_the_schedule_sets_every_step(run):
    rates = []
    watch = Watch(lambda m, *_: rates.append(m.trainer.optimizers[0].param_groups[0]["lr"]))
    run(epochs=3, schedule=WarmupCosine(rampdown=2), callbacks=[watch])
    assert rates == [WarmupCosine(rampdown=2)(step, 3) for step in range(9)]


def test_accumulated_steps(run):
    assert list(run(epochs=2, accumulate=2).history["step"]) == [2, 4]  # 2 + 1 batches an epoch


def test_a_learned_temperature_learns(run):
    loss = NTXent(0.07, learnable=True)
    run(loss=loss)
    assert loss.temperature.item() != pytest.approx(0.07, rel=1e-6)


def test_the_temperature_on_the_record_is_that_of_the_best_epoch(run, monkeypatch):
    plant(monkeypatch, [0.9, 0.5, 0.4])
    loss = NTXent(0.07, learnable=True)
    last = []
    watch = Watch(lambda module, *_: last.append(str(module.loss)))
    result = run(loss=loss, epochs=3, schedule=Constant(0.05), callbacks=[watch])
    assert last[2] == result.record["settings"]["loss"] == str(loss) != last[8]


def test_a_model_may_come_in_evaluation_mode(run):
    expected = run("fresh").model
    assert differing(run("evaluated", new_model().eval()).model, expected) == []
    assert not expected.training  # as every result


def test_each_side_has_its_recipe(run):
    seen = []

    def spy(side):
        return lambda x, generator: seen.append((side, generator.initial_seed())) or x

    recipes = {f"augment_{s}": Recipe(waveform=spy(s)) for s in ("queries", "items")}
    run(epochs=2, **recipes)
    assert [side for side, _ in seen] == ["queries", "items"] * 6
    assert len({seed for _, seed in seen}) == 6  # another for each batch


def test_half_precision_and_channels_last(run):
    settings = {"epochs": 2, "batch_size": 6, "schedule": Constant(1e-5)}
    plain = run("plain", **settings)
    fast = run("fast", precision="bf16-mixed", channels_last=True, **settings)
    losses = [r.history["train_loss"].to_numpy() for r in (plain, fast)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.2)  # six clips a batch, half precision
    assert not np.array_equal(*losses)
    assert all(p.dtype == torch.float32 for p in fast.model.parameters())


# What is kept


def test_the_highest_validation_mrr_is_kept_when_it_falls(run, monkeypatch):
    after_first = []

    def remember(module, epoch, batch):
        if (epoch, batch) == (0, 2):
            after_first.append({k: v.clone() for k, v in module.model.state_dict().items()})

    plant(monkeypatch, [0.9, 0.5, 0.7])
    result = run(epochs=3, callbacks=[Watch(remember)])
    stored = torch.load(result.best_checkpoint, weights_only=True)
    assert stored["epoch"] == 0 and list(result.history["val_mrr"]) == [0.9, 0.5, 0.7]
    assert torch.load(result.last_checkpoint, weights_only=True)["epoch"] == 2
    for key, value in result.model.state_dict().items():
        assert torch.equal(value, after_first[0][key]), key
    assert not result.model.training and result.best_mrr == 0.9


def test_a_later_best_replaces_an_earlier_one(run, monkeypatch):
    plant(monkeypatch, [0.5, 0.9, 0.7])
    result = run(epochs=3)
    assert torch.load(result.best_checkpoint, weights_only=True)["epoch"] == 1


def test_the_best_is_remembered_across_a_resume(run, monkeypatch):
    plant(monkeypatch, [0.9, 0.5, 0.7, 0.6])
    run(epochs=2)
    result = run(epochs=4, resume=True)
    assert torch.load(result.best_checkpoint, weights_only=True)["epoch"] == 0


def test_early_stop(run, monkeypatch):
    plant(monkeypatch, [0.9, 0.5, 0.4, 0.95])
    result = run(epochs=4, early_stop=2)
    assert list(result.history["epoch"]) == [0, 1, 2] and not result.interrupted


def test_early_stop_holds_when_resumed_but_with_more_patience(run, monkeypatch):
    plant(monkeypatch, [0.9, 0.5, 0.4, 0.3, 0.95])
    run(epochs=9, early_stop=2)
    assert len(run(epochs=9, early_stop=2, resume=True).history) == 3
    assert len(run(epochs=9, early_stop=3, resume=True).history) == 4


def test_history_plot_and_record(run, parts):
    result = run(epochs=2, record={"preset": "mine"})
    pd.testing.assert_frame_equal(pd.read_csv(result.folder / "history.csv"), result.history)
    axes = result.plot().axes
    assert len(axes[1].lines[0].get_xdata()) == 2
    record = result.record
    assert record["preset"] == "mine" and record["settings"]["seed"] == 1
    assert record["validation"]["fingerprint"] == parts[1].fingerprint()
    assert record["leakage"][0]["policy"] == "refuse"
    assert record["versions"]["qvim_kit"] == qvim_kit.__version__
    result.save(result.folder / "model", {"licence": "MIT"})
    again = DualEncoder.from_pretrained(result.folder / "model")
    assert not differing(again, result.model)
    assert again.card["training"]["settings"]["epochs"] == 2 and again.card["licence"] == "MIT"
    assert again.card["training"]["leakage"] == record["leakage"]
    assert again.card["metrics"] == {"validation MRR": result.best_mrr}


# What is repeated


HARD = {  # whatever draws random numbers
    "random_crops": True,
    "augment_queries": greif(roll=True),
    "augment_items": greif(),
    "schedule": WarmupCosine(1e-4, 1e-3, 1, 3),
    "accumulate": 2,
}


def test_resumed_is_uninterrupted_bit_for_bit(run):
    whole = run("whole", epochs=4, **HARD)
    run("parts", epochs=2, **HARD)
    torch.rand(17)  # whatever happens in between
    resumed = run("parts", epochs=4, resume=True, **HARD)
    last = [torch.load(r.last_checkpoint, weights_only=True) for r in (whole, resumed)]
    for key, value in last[0]["state_dict"].items():
        assert torch.equal(value, last[1]["state_dict"][key]), key
    for first, second in zip(
        *(s["optimizer_states"][0]["state"].values() for s in last), strict=True
    ):
        assert all(torch.equal(first[key], second[key]) for key in first)
    columns = ["epoch", "step", "lr", "train_loss", "val_mrr"]
    pd.testing.assert_frame_equal(
        whole.history[columns], resumed.history[columns], check_exact=True
    )


@pytest.mark.parametrize("when", [(1, 0), (1, 2)])
def test_ctrl_c_keeps_the_state_and_the_rest_is_the_same(run, when, capsys):
    def press(module, epoch, batch):
        if (epoch, batch) == when:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    whole = run("whole", epochs=3, **HARD)
    stopped = run("stopped", epochs=3, callbacks=[Watch(press)], **HARD)
    assert stopped.interrupted and "resume=True" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) == handler
    stored = torch.load(stopped.last_checkpoint, weights_only=True)
    # In the middle: after the two batches that make one step of the optimizer.
    assert stored["qvim"]["done"]["batches"] == (2 if when == (1, 0) else 0)
    assert len(stopped.history) == (1 if when == (1, 0) else 2)
    resumed = run("stopped", epochs=3, resume=True, **HARD)
    assert not resumed.interrupted
    last = [torch.load(r.last_checkpoint, weights_only=True) for r in (whole, resumed)]
    for key, value in last[0]["state_dict"].items():
        assert torch.equal(value, last[1]["state_dict"][key]), key
    assert list(whole.history["train_loss"]) == list(resumed.history["train_loss"])


def test_the_model_of_an_interrupted_run_goes_on(run):
    def press(module, epoch, batch):
        if (epoch, batch) == (1, 0):
            os.kill(os.getpid(), signal.SIGINT)

    whole, model = run("whole", epochs=3), new_model()
    assert run("stopped", model, epochs=3, callbacks=[Watch(press)]).interrupted
    assert differing(run("stopped", model, epochs=3, resume=True).model, whole.model) == []


def test_resuming_with_free_statistics_is_refused(run):
    run("frozen", new_model(freeze_statistics=True), epochs=1)
    with pytest.raises(ValueError, match="freeze_statistics True"):
        run("frozen", new_model(), epochs=2, resume=True)


def test_a_second_ctrl_c_does_not_wait(run):
    def press(module, epoch, batch):
        if (epoch, batch) == (1, 2):  # the first would wait for validation
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    result = run(epochs=3, callbacks=[Watch(press)])
    assert result.interrupted and len(result.history) == 1


def test_seeds_zero_included(run):
    first, same, other = (
        run(f"run {n}", seed=seed, **HARD).model for n, seed in enumerate((0, 0, 1))
    )
    assert differing(first, same) == []
    assert differing(first, other)


def test_workers_change_nothing(run):
    alone = run("alone", epochs=2, **HARD)
    workers = run("workers", epochs=2, workers=2, **HARD)
    assert differing(alone.model, workers.model) == []


def test_the_callers_random_numbers_go_on(run):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    run()
    assert torch.equal(torch.rand(4), expected)


def test_outside_the_main_thread(run):
    results = []
    thread = threading.Thread(target=lambda: results.append(run()))
    thread.start()
    thread.join()
    assert len(results[0].history) == 1


def test_processes_share_an_epoch():
    shares = [EpochOrder(11, 0, rank, 3) for rank in range(3)]
    for epoch in range(2):
        for share in shares:
            share.set_epoch(epoch)
        numbers = [number for share in shares for _, number in share]
        assert len(numbers) == len(set(numbers)) == 9
    assert list(shares[0]) != list(EpochOrder(11, 0, 0, 3))
    validated = [list(Share(11, rank, 3)) for rank in range(3)]
    assert {len(share) for share in validated} == {4}
    assert set(sum(validated, [])) == set(range(11))


def test_two_processes_learn_as_one(run):
    """On a frozen trunk, as batch norms see each process's part of a batch."""
    settings = {"optimizer": torch.optim.SGD, "schedule": Constant(0.05), "epochs": 2}
    results = []
    for processes, options in ((1, {}), (2, {"devices": 2, "strategy": "ddp_spawn"})):
        model = new_model(projection=8, freeze_trunk=True)
        options |= {"batch_size": 6 // processes, "accelerator": "cpu", **settings}
        results.append(run(f"{processes} processes", model, **options))
    for key, value in results[0].model.state_dict().items():
        torch.testing.assert_close(results[1].model.state_dict()[key], value)
    moved = results[0].model.query_tower.projection.weight
    start = new_model(projection=8, freeze_trunk=True).query_tower.projection.weight
    assert not torch.allclose(moved, start)
    columns = ["epoch", "step", "train_loss", "val_mrr"]
    pd.testing.assert_frame_equal(*(result.history[columns] for result in results))


def test_resume_into_another_folder(run, monkeypatch):
    plant(monkeypatch, [0.9, 0.5, 0.7])
    first = run(epochs=2)
    result = run("elsewhere", epochs=3, resume=first.last_checkpoint)
    assert list(result.history["val_mrr"]) == [0.9, 0.5, 0.7]
    assert differing(result.model, first.model) == []


def test_resume_into_another_folder_with_no_epochs_left(run):
    first = run(epochs=2)
    result = run("elsewhere", epochs=2, resume=first.last_checkpoint)
    pd.testing.assert_frame_equal(result.history, first.history)
    assert result.best_mrr == first.best_mrr and differing(result.model, first.model) == []
    assert len(run("elsewhere", epochs=3, resume=True).history) == 3


def test_a_run_is_not_resumed_into_the_folder_of_another(run):
    first, other = run(), run("other", seed=2)
    before = {path.name: path.read_bytes() for path in other.folder.iterdir()}
    with pytest.raises(FileExistsError, match="other: holds best.ckpt, last.ckpt, history.csv"):
        run("other", epochs=2, resume=first.last_checkpoint)
    assert {path.name: path.read_bytes() for path in other.folder.iterdir()} == before
    assert len(run(epochs=2, resume=first.best_checkpoint).history) == 2  # of its own


def test_labels_and_crops(parts, cache):
    train, _ = parts
    cache.add([*train.items["path"], *train.queries["path"]])
    labels = {
        column: Pairs(train, cache, 800, labels=column).labels.tolist()
        for column in ("item", "class", None)
    }
    assert {column: len(set(found)) for column, found in labels.items()} == {
        "item": 3, "class": 2, None: 6,
    }  # fmt: skip
    random = Pairs(train, cache, 800, random_crops=True)
    assert torch.equal(random[1, 0][0], random[1, 0][0])
    assert not torch.equal(random[1, 0][0], random[2, 0][0])


# What is refused


def test_leakage_is_refused_and_overridden_on_the_record(run, parts, mini):
    with pytest.raises(LeakageError, match=r"(?s)Queries.*\.wav"):
        run(data=(parts[0], mini))
    result = run(data=(parts[0], mini), leakage="allow")
    assert result.record["leakage"][0]["policy"] == "allow"
    assert result.record["leakage"][0]["shared queries"] == 6


def test_the_test_set_is_kept_out_of_both(run, mini):
    train, rest = split_by_item(mini, 0.5)
    validation, test = split_by_item(rest, 0.5)
    result = run(data=(train, validation), test=test)
    record = result.record
    assert record["test"]["gap"] == record["validation"]["MRR"] - record["test"]["MRR"]
    assert len(record["leakage"]) == 3
    for bad in (train, validation):
        with pytest.raises(LeakageError):
            run("bad", data=(train, validation), test=bad, leakage="shared items")


def test_a_folder_with_a_run_is_not_overwritten(run):
    first = run()
    with pytest.raises(FileExistsError, match="resume=True"):
        run()
    assert differing(run(overwrite=True, seed=2).model, first.model)


def test_bad_arguments(run, tmp_path):
    with pytest.raises(
        ValueError, match="(?s)seed: found -1.*epochs: found 0.*accumulate: found 0.5"
    ):
        run(seed=-1, epochs=0, accumulate=0.5)
    with pytest.raises(ValueError, match="at most 6"):
        run("a", batch_size=7)
    with pytest.raises(ValueError, match="labels: found 'items'"):
        run("b", labels="items")
    with pytest.raises(FileNotFoundError, match="last.ckpt"):
        run("c", resume=True)
    (tmp_path / "other.ckpt").touch()
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="not written by fit"):
        run("d", resume=tmp_path / "other.ckpt")


WRONG = {
    "model": ["mn04_as", DualEncoder], "train": ["vimsketch", None], "validation": [[1]],
    "test": ["qvim-dev"], "folder": [None, 3], "epochs": [2.5, "3", True], "batch_size": [0, None],
    "accumulate": [-1], "seed": ["a", None], "workers": [-1, 1.5], "early_stop": [0, "x"],
    "loss": ["NTXent", NTXent], "labels": ["items", 3], "optimizer": ["adam", 5],
    "schedule": [[1e-3], 1e-3, Constant], "augment_queries": ["roll"], "augment_items": [Roll, [1]],
    "leakage": ["no", None], "resume": [3.5, ["x"]], "precision": [None, 0.5], "cache": ["folder"],
    "logger": ["excel", 3, True], "callbacks": [Callback, [Callback], ["x"], "x", None],
    "record": ["mine", [1]], "random_crops": ["no", None], "cached_embeddings": ["yes"],
    "overwrite": ["no"], "channels_last": [2], "progress": [[]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_an_argument_of_the_wrong_kind(parts, tmp_path, cache, name, value):
    given = {"model": new_model(), "train": parts[0], "validation": parts[1], "cache": cache}
    given |= {"folder": tmp_path / "run", name: value}
    model, train, validation = (given.pop(key) for key in ("model", "train", "validation"))
    with pytest.raises(ValueError, match=f"^{name}: found .*, expected "):
        fit(model, train, validation, **given)
    assert not (tmp_path / "run").exists()


def test_all_wrong_arguments_are_told_at_once(run, tmp_path):
    import inspect

    with pytest.raises(ValueError) as caught:
        run(optimizer="adam", epochs=2.0, schedule=[1e-3], logger=object(), augment_items=Roll)
    for words in (
        "epochs: found 2.0, expected a whole number of 1 or more",
        "optimizer: found 'adam', expected torch.optim.Adam",
        "schedule: found [0.001], expected a Constant(1e-3)",
        "logger: found a object, expected None, a Lightning logger, 'csv'",
        "augment_items: found <class ",
    ):
        assert words in str(caught.value)
    assert set(CHECKS) == {*inspect.signature(fit).parameters} - {"trainer"}
    assert not (tmp_path / "run").exists()


def test_what_would_change_the_validation_is_refused(run, tmp_path):
    with pytest.raises(ValueError) as caught:
        run(epochs=0, **dict.fromkeys(FIXED, 2))
    for words in (*(f"{name}: found 2 for the Trainer" for name in FIXED), "epochs: found 0"):
        assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_trainers_other_options_are_the_callers(run, tmp_path):
    seen = []
    watch = Watch(lambda module, *_: seen.append(module.trainer))
    options = {"limit_train_batches": 2, "log_every_n_steps": 10, "default_root_dir": tmp_path}
    result = run(callbacks=[watch], **options)
    assert list(result.history["step"]) == [2] and seen[0].log_every_n_steps == 10


@pytest.mark.parametrize(
    ("rate", "prepared", "model_is"), [(16_000, False, False), (32_000, True, False),
                                       (32_000, False, True)]
)  # fmt: skip
def test_a_cache_of_other_sounds_is_refused(run, tmp_path, rate, prepared, model_is):
    other = WaveformCache(tmp_path / "other", rate, prepared)
    with pytest.raises(ValueError, match=f"cache: found .*{rate}.*{prepared}.*, expected .*32000"):
        run(model=new_model(prepared=model_is), cache=other)


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_shown_if_wanted(run, tmp_path, capsys, progress):
    run(cache=WaveformCache(tmp_path / "waveforms"), progress=progress)
    shown = capsys.readouterr()
    assert ("decoding" in shown.err) is progress
    assert progress or not shown.out + shown.err


def test_diverging_says_so(run):
    with pytest.raises(FloatingPointError, match="learning rate"):
        run(optimizer=torch.optim.SGD, schedule=Constant(1e30))


# Loggers


def test_csv_and_tensorboard(run):
    csv = run("csv", logger="csv")
    (written,) = csv.folder.glob("logs/*/metrics.csv")
    assert {"train_loss", "val_mrr"} <= set(pd.read_csv(written).columns)
    board = run("board", logger="tensorboard")
    assert list(board.folder.glob("logs/*/events.out*"))


def test_wandb_never_asks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ModuleNotFoundError, match="pip install wandb"):
        make_logger("wandb", tmp_path)
    with pytest.raises(ValueError, match="found 'excel'"):
        make_logger("excel", tmp_path)


@pytest.mark.parametrize(
    ("environment", "offline"),
    [
        ({}, True),
        ({"WANDB_MODE": "online"}, True),
        ({"WANDB_MODE": "online", "WANDB_API_KEY": "k"}, False),
    ],
)
def test_wandb_is_offline_unless_there_is_a_key(tmp_path, monkeypatch, environment, offline):
    from qvim_kit.training import keeping

    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.setenv(name, environment.get(name, ""))
    monkeypatch.setattr(keeping, "_require", lambda package: None)
    monkeypatch.setattr(keeping, "WandbLogger", lambda **options: options)
    assert make_logger("wandb", tmp_path)["offline"] is offline
    assert os.environ["WANDB_MODE"] == ("offline" if offline else "online")


# Presets


def test_a_head_is_trained_on_embeddings_alone(parts, tmp_path, cache):
    preset = frozen_head(epochs=4)
    model = preset.build(mobilenet(0.1))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    options = {"cache": cache, "progress": False, "batch_size": 6, "logger": None}
    result = preset.fit(*parts, model=model, folder=tmp_path / "run", **options)
    changed = {k for k, v in result.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all("projection" in key for key in changed)
    losses = result.history["train_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    assert result.record["preset"] == "frozen-head"


def test_a_heads_step_is_that_of_the_whole_model(parts, tmp_path, cache):
    results = []
    for cached in (True, False):
        model = new_model(shared=True, projection=8, freeze_trunk=True)
        options = {"cache": cache, "progress": False, "batch_size": 6, "logger": None}
        options |= {"epochs": 2, "optimizer": torch.optim.SGD, "schedule": Constant(1e-2)}
        folder = tmp_path / str(cached)
        results.append(fit(model, *parts, folder=folder, cached_embeddings=cached, **options))
    for key, value in results[0].model.state_dict().items():
        torch.testing.assert_close(value, results[1].model.state_dict()[key], atol=1e-4, rtol=1e-4)
    losses = [r.history["train_loss"].to_numpy() for r in results]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_a_head_needs_a_frozen_trunk_and_no_augmentation(run):
    with pytest.raises(ValueError, match="freeze_trunk=True"):
        run(cached_embeddings=True)
    with pytest.raises(ValueError, match="embeds once"):
        run("b", cached_embeddings=True, augment_items=Recipe(Roll(max_samples=3)))


def test_a_head_is_trained_on_what_its_system_hears(parts, own_cache):
    model = new_model(projection=8, freeze_trunk=True, prepared=True)
    paths = parts[1].queries["path"].tolist()

    def projected():
        embeddings = Embeddings(model, parts[1:])
        rows = torch.from_numpy(np.stack([embeddings.read(path) for path in paths]))
        with torch.no_grad():
            return torch.nn.functional.normalize(model.query_tower.projection(rows)).numpy()

    expected = DualEncoderSystem(model).embed_queries(paths)
    np.testing.assert_allclose(projected(), expected, atol=1e-4)
    model.prepared = False
    assert np.abs(projected() - expected).max() > 1e-3


def test_a_head_is_validated_in_single_precision():
    settings = dict.fromkeys(("schedule", "optimizer", "augment", "seed", "relevant"))
    module = HeadOnly(new_model(projection=8, freeze_trunk=True), NTXent(), **settings)
    rows = torch.randn(4, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module._embed(rows, "query")
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(module._embed(rows, "query"), expected)
            trained = module._embed(rows, "query", torch.Generator())
    assert not torch.equal(trained, expected) and trained.dtype == torch.float32


@pytest.mark.parametrize("name", PRESETS)
def test_presets_run(name, parts, tmp_path, cache):
    preset = PRESETS[name]()
    assert preset.name == name
    if preset.prepared:
        cache = WaveformCache(tmp_path / "prepared", prepared=True)
    model = preset.build(mobilenet(0.1))
    model.duration = 0.5
    options = {"epochs": 1, "batch_size": 3, "logger": None, "cache": cache, "progress": False}
    result = preset.fit(*parts, model=model, folder=tmp_path / "run", **options)
    assert np.isfinite(result.history["train_loss"]).all()
    assert result.record["changes"]["epochs"] == "1"


def test_presets_are_as_published(monkeypatch):
    greif_coarse, aes = PRESETS["greif-coarse"](roll=True), PRESETS["aes-baseline"]()
    for preset in (greif_coarse, aes):
        assert (preset.encoder, preset.duration, preset.shared) == ("mn10_as", 10.0, False)
        assert preset.settings["batch_size"] == 16 and preset.settings["epochs"] == 15
    assert greif_coarse.settings["accumulate"] == 2 and aes.settings["labels"] is None
    assert "Roll" in str(greif_coarse.settings["augment_queries"])
    assert "Roll" not in str(greif_coarse.settings["augment_items"])
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    assert type(greif_coarse.settings["optimizer"](parameters, lr=1)) is torch.optim.Adam
    adamw = aes.settings["optimizer"](parameters, lr=1)
    assert type(adamw) is torch.optim.AdamW and adamw.defaults["weight_decay"] == 0
    monkeypatch.setattr(preset_module, "fast_precision", lambda: "bf16-mixed")
    assert laptop().settings["precision"] == "bf16-mixed"


def test_short_trainings_keep_the_statistics_of_audioset():
    tuned, voice = (PRESETS[name]().build(mobilenet(0.1)) for name in ("laptop", "virtual-voice"))
    assert tuned.freeze_statistics and voice.freeze_statistics
    assert (tuned.shared, voice.shared) == (False, True)


def test_a_preset_builds_the_same_model_again():
    encoder = MobileNet(0.1)
    first, second, other = (frozen_head().build(encoder, seed) for seed in (0, 0, 1))
    assert differing(first, second) == []
    sides = ("query", "item")
    assert differing(first, other) == [f"{side}_tower.projection.weight" for side in sides]


def test_live_curves_grow_with_the_epochs(parts, tmp_path, cache, monkeypatch):
    from qvim_kit.training.live import LiveCurves

    shown = []

    class Handle:
        def update(self, figure):
            shown.append(figure)

    def display(figure, display_id):
        shown.append(figure)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    preset = PRESETS["laptop"](epochs=2)
    options = {"cache": cache, "progress": False, "precision": "32-true", "batch_size": 4}
    options |= {"leakage": "allow", "callbacks": [LiveCurves()], "logger": None}
    result = preset.fit(
        *parts, model=preset.build(mobilenet(0.1)), folder=tmp_path / "run", **options
    )
    points = [len(figure.axes[0].lines[0].get_xdata()) for figure in shown]
    assert points == [1, 2] and len(result.history) == 2


def test_a_refused_run_leaves_the_earlier_one_alone(run, tmp_path):
    first = run()
    before = {p.name: p.read_bytes() for p in first.folder.iterdir() if p.is_file()}
    for mistake in ({"batch_size": 1_000}, {"foo": 1}):
        with pytest.raises((ValueError, TypeError)):
            run(overwrite=True, **mistake)
    assert {p.name: p.read_bytes() for p in first.folder.iterdir() if p.is_file()} == before


CHANGES = {
    "batch_size": 3, "accumulate": 2, "labels": "item", "seed": 2, "random_crops": True,
    "optimizer": torch.optim.SGD, "schedule": Constant(1e-4), "loss": NTXent(0.2),
    "augment_queries": Recipe(Roll(max_samples=3)), "precision": "bf16-mixed",
}  # fmt: skip


@pytest.fixture(scope="module")
def begun(mini, cache, tmp_path_factory):
    """A run of one epoch, as `run` makes it."""
    folder = tmp_path_factory.mktemp("begun") / "run"
    settings = {"epochs": 1, "batch_size": 2, "schedule": Constant(1e-3), "labels": None}
    settings |= {"seed": 1, "logger": None, "cache": cache, "progress": False}
    fit(new_model(), *split_by_item(mini, 0.25), folder=folder, **settings)
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_is_not_resumed_with_other_settings(run, begun, name):
    before = {path.name: path.read_bytes() for path in begun.iterdir()}
    with pytest.raises(
        ValueError, match=rf"last.ckpt is of a run .*; {name}: found .*, the run has"
    ):
        run(folder=begun, epochs=2, resume=True, **{name: CHANGES[name]})
    assert {path.name: path.read_bytes() for path in begun.iterdir()} == before


def test_every_difference_from_the_run_is_told(run, begun, parts):
    model = new_model(projection=8, duration=0.25)
    with pytest.raises(ValueError) as caught:
        run(model=model, data=parts[::-1], folder=begun, epochs=2, resume=True, **CHANGES)
    for name in (*CHANGES, "duration", "model", "training pairs", "validation pairs"):
        assert f" {name}: found " in str(caught.value), name
    assert "epochs" not in str(caught.value) and " at 0x" not in str(caught.value)


def test_what_does_not_matter_may_change(run, begun, tmp_path):
    """More epochs, workers, loggers, progress; and a schedule that is the same function again."""
    import shutil

    shutil.copytree(begun, tmp_path / "again")
    result = run("again", epochs=2, resume=True, workers=1, early_stop=5, logger="csv")
    assert len(result.history) == 2

    def made():
        return lambda step, steps: 1e-3

    run("functions", schedule=made())
    run("functions", schedule=made(), epochs=2, resume=True)


def test_a_run_of_an_older_version_is_resumed_as_ever(run, begun, tmp_path):
    stored = torch.load(begun / "last.ckpt", weights_only=True)
    assert stored["qvim"].pop("settings")["batch_size"] == 2
    torch.save(stored, tmp_path / "older.ckpt")
    assert (
        len(run("elsewhere", epochs=2, batch_size=3, resume=tmp_path / "older.ckpt").history) == 2
    )


def test_contradicting_wishes_are_refused(run):
    run(epochs=2)
    with pytest.raises(ValueError, match="resume and overwrite: give one"):
        run(resume=True, overwrite=True)
    with pytest.raises(ValueError, match="epochs: found 1, but the run to resume has done 2"):
        run(epochs=1, resume=True)
