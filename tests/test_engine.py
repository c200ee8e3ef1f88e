"""ONNX Runtime beside torch: the same embeddings, never of weights that were."""

import copy
import inspect
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from qvim_kit.models import engine as engines
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.engine import EXPORT_FROM, LOAD_FROM, Engine, EngineError
from qvim_kit.models.graphs import KEPT, content_hash, graphs_folder, of_the_kit, store_graph
from qvim_kit.models.mobilenet import mobilenet

HOW = 'not installed: pip install "qvim-kit[fast]"'

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def installed():
    pytest.importorskip("onnxruntime", reason=f"onnxruntime is {HOW}")
    pytest.importorskip("onnx", reason=f"onnx is {HOW}")


def make_inputs():
    """Six log-mels of different levels."""
    noise = torch.randn(6, 1, 128, 70, generator=torch.Generator().manual_seed(1))
    return noise * torch.linspace(0.1, 2, 6)[:, None, None, None]


def make_encoder(seed):
    """One whose batch norms know such inputs: else it would give the same for all of them."""
    torch.manual_seed(seed)
    encoder = mobilenet(0.1).train()
    norms = [part for part in encoder.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        encoder(make_inputs())
    for norm in norms:
        norm.momentum = 0.01
    return encoder.eval()


@pytest.fixture
def encoder():
    return make_encoder(0)


@pytest.fixture
def inputs():
    return make_inputs()


@pytest.fixture
def exports(monkeypatch):
    """Every export that is made."""
    made = []

    def counted(encoder, inputs):
        made.append(encoder)
        return export(encoder, inputs)

    export = engines.export
    monkeypatch.setattr(engines, "export", counted)
    return made


def eager(encoder, inputs):
    with torch.inference_mode():
        return encoder(inputs)[1].numpy()


def assert_same(found, expected):
    assert found.shape == expected.shape and found.dtype == expected.dtype
    if len(expected):
        assert len(expected) == 1 or expected.std(axis=0).max() > 0.01  # else anything would agree
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def test_onnx_and_torch_agree_whatever_the_number_of_clips_and_frames(installed, encoder, inputs):
    run = Engine("onnx")
    for some in (inputs, inputs[:1], inputs[:, :, :, :33], inputs[:0]):
        expected = eager(encoder, some)
        assert_same(run(encoder, some), expected)
        assert_same(Engine("torch")(encoder, some), expected)


def test_towers_of_a_dual_encoder(installed, inputs):
    model = DualEncoder(make_encoder(0), projection=7)
    run = Engine("onnx")
    for side, tower in (("query", model.query_tower), ("item", model.item_tower)):
        with torch.no_grad():
            tower.projection.weight += 0.1 * (side == "item")
        found = run(tower, inputs[:, 0])
        with torch.no_grad():
            expected = model.eval().embed_log_mel(inputs[:, 0], side).numpy()
        assert found.shape == (6, 7)
        assert_same(found, expected)


def test_export_is_silent_and_leaves_the_encoder_alone(installed, encoder, inputs, capfd):
    encoder.train()
    encoder.features[2].eval()
    modes = [part.training for part in encoder.modules()]
    weights = copy.deepcopy(encoder.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Engine("onnx")(encoder, inputs)
    assert capfd.readouterr() == ("", "")
    assert [part.training for part in encoder.modules()] == modes
    assert all(torch.equal(weights[name], now) for name, now in encoder.state_dict().items())


def through_data(encoder):
    encoder.features[16][0].weight.data.neg_()  # no version counter tells this


def by_training(encoder):
    encoder.train()
    encoder(torch.randn(4, 1, 128, 70))  # the running means of batch norms
    encoder.eval()


def by_a_new_layer(encoder):
    encoder.features[16][2] = torch.nn.ReLU()


@pytest.mark.parametrize("change", [through_data, by_training, by_a_new_layer])
def test_changed_weights_are_never_served_from_what_was(installed, encoder, inputs, change):
    run = Engine("onnx")
    before = run(encoder, inputs)
    change(encoder)
    now = run(encoder, inputs)
    assert np.abs(now - before).max() > 0.01 * np.abs(before).max()
    assert_same(now, eager(encoder, inputs))


def test_auto_exports_only_for_many_clips_and_loads_for_some(installed, encoder, inputs, exports):
    run = Engine("auto")
    first = [run(encoder, inputs[:1]) for _ in range(EXPORT_FROM - 1)][0]
    assert not exports and not graphs_folder().exists()
    assert_same(run(encoder, inputs[:1]), first)
    assert exports == [encoder]
    later, runs = Engine("auto"), []
    for _ in range(LOAD_FROM):
        later(encoder, inputs[:1])
        runs.append(later._known[encoder].session is not None)
    assert runs == [False] * (LOAD_FROM - 1) + [True] and len(exports) == 1


def test_auto_leaves_to_torch_what_it_cannot_judge(installed, encoder, inputs, exports):
    class Other(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, inputs):
            return self.inner(inputs)

    hooked = copy.deepcopy(encoder)
    hooked.features[3].register_forward_hook(lambda *_: None)
    inside = copy.deepcopy(encoder)
    inside.features[3] = Other(inside.features[3])
    many = inputs.repeat(1 + EXPORT_FROM // 6, 1, 1, 1)
    for one in (Other(encoder), hooked, inside):
        assert not of_the_kit(one)
        Engine("auto")(one, many)
        assert not exports
    # Who insists gets an export, but not one that another program would be served.
    assert_same(Engine("onnx")(Other(encoder), inputs), eager(encoder, inputs))
    assert len(exports) == 1 and not graphs_folder().exists()


def test_a_changed_source_is_another_content(encoder, monkeypatch):
    before = content_hash(encoder)
    assert content_hash(copy.deepcopy(encoder)) == before
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda module: source(module) + "\n# changed")
    assert content_hash(encoder) != before


def test_an_export_that_fails_is_one_warning_or_an_error(installed, encoder, inputs, monkeypatch):
    def broken(encoder, inputs):
        raise RuntimeError("no such operator\nand a page of graph")

    monkeypatch.setattr(engines, "export", broken)
    with pytest.raises(EngineError, match=r"MobileNet cannot .*\(RuntimeError: no such operator\)"):
        Engine("onnx")(encoder, inputs)
    run, many = Engine("auto"), inputs.repeat(1 + EXPORT_FROM // 6, 1, 1, 1)
    with pytest.warns(UserWarning, match="torch is used, which is slower") as caught:
        for _ in range(3):
            assert_same(run(encoder, many)[:6], eager(encoder, inputs))
    assert len(caught) == 1


def test_an_export_that_differs_is_not_used(installed, encoder, inputs, monkeypatch):
    other = engines.export(make_encoder(1), inputs)
    monkeypatch.setattr(engines, "export", lambda *_: other)
    with pytest.raises(EngineError, match="its embeddings differ from torch's by"):
        Engine("onnx")(encoder, inputs)
    assert not graphs_folder().exists()


def test_damaged_and_foreign_files_are_exported_anew(installed, encoder, inputs, exports):
    expected = Engine("onnx")(encoder, inputs)
    (kept,) = graphs_folder().iterdir()
    whole, other = kept.read_bytes(), engines.export(make_encoder(1), inputs)
    for damaged in (whole[:-9], other, b"no graph", b""):
        kept.write_bytes(damaged)
        exports.clear()
        assert_same(Engine("onnx")(encoder, inputs), expected)
        assert exports == [encoder] and [*graphs_folder().iterdir()] == [kept]
        assert_same(Engine("onnx")(encoder, inputs), expected)
        assert len(exports) == 1


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    installed, encoder, inputs, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="the exported encoder is not kept"):
        found = Engine("onnx")(encoder, inputs)
    assert_same(found, eager(encoder, inputs))


def test_only_the_graphs_used_last_are_kept():
    for number in range(KEPT + 3):
        store_graph(f"{number}", b"graph")
        for path in graphs_folder().glob(f"{number}-*"):
            os.utime(path, (number, number))
    assert len(list(graphs_folder().iterdir())) == KEPT
    assert list(graphs_folder().glob(f"{KEPT + 2}-*")) and not list(graphs_folder().glob("0-*"))


def test_as_many_threads_as_torch_has(installed, encoder, inputs):
    run, before = Engine("onnx"), torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run(encoder, inputs)
            options = run._known[encoder].session.session.get_session_options()
            assert options.intra_op_num_threads == threads
    finally:
        torch.set_num_threads(before)


def test_an_encoder_that_is_gone_is_not_kept_alive(installed, inputs):
    run, encoder = Engine("onnx"), make_encoder(0)
    run(encoder, inputs)
    assert len(run._known) == 1
    del encoder
    assert len(run._known) == 0


def test_engines_can_be_copied(installed, encoder, inputs):
    run = Engine("onnx")
    run(encoder, inputs)
    for other in (copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert_same(other(encoder, inputs), run(encoder, inputs))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="found 'fast', expected one of auto, onnx, torch"):
        Engine("fast")
    with pytest.raises(ValueError, match="'onnx' with device 'cuda:1', expected device=\"cpu\""):
        Engine("onnx", "cuda:1")


def test_without_the_packages_auto_is_torch(encoder, inputs, monkeypatch):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r'run: pip install "qvim-kit\[fast\]"'):
        Engine("onnx")
    many = inputs.repeat(1 + EXPORT_FROM // 6, 1, 1, 1)
    assert_same(Engine("auto")(encoder, many)[:6], eager(encoder, inputs))
    assert not graphs_folder().exists()


PROGRAM = """
import numpy, sys, torch
from qvim_kit.models import engine, mobilenet
engine.export = None  # not to be called
encoder = mobilenet.mobilenet(0.1)
encoder.load_state_dict(torch.load("weights"))
numpy.save("found.npy", engine.Engine("onnx")(encoder, torch.load("inputs")))
"""


def test_another_process_shares_the_export(installed, encoder, inputs, tmp_path):
    torch.save(encoder.state_dict(), tmp_path / "weights")
    torch.save(inputs, tmp_path / "inputs")
    expected = Engine("onnx")(encoder, inputs)
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, check=True, timeout=120)
    assert_same(np.load(tmp_path / "found.npy"), expected)
