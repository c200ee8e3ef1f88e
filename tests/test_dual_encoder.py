import argparse
import copy
import hashlib
import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import qvim_kit
from qvim_kit.features import LogMel
from qvim_kit.losses import nt_xent
from qvim_kit.models import storage
from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import CheckpointError, MobileNet, mobilenet
from qvim_kit.models.published import load_published


@pytest.fixture
def encoder():
    """A small MobileNet whose batch norms have seen something."""
    torch.manual_seed(0)
    model = mobilenet(0.1)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(4, 1, 128, 40))
    return model.eval()


@pytest.fixture
def waveforms():
    return torch.randn(3, 16_000, generator=torch.Generator().manual_seed(1)) / 10


def apart(model, seed=3):
    """The model with different weights everywhere, as after training."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return model.eval()


def embeddings(model, waveforms):
    with torch.inference_mode():
        return model(waveforms, waveforms)


def train_step(model, waveforms):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    nt_xent(*model(waveforms, waveforms.flip(1)), symmetric=True).backward()
    optimizer.step()


def test_embeds_as_the_encoder_in_unit_rows(encoder, waveforms):
    model = DualEncoder(encoder).eval()
    queries, items = embeddings(model, waveforms)
    with torch.inference_mode():
        log_mel = LogMel()(waveforms)
        expected = F.normalize(encoder(log_mel[:, None])[1], dim=1)
        torch.testing.assert_close(model.embed_log_mel(log_mel, "item"), expected)
    torch.testing.assert_close(queries, expected)
    torch.testing.assert_close(items, expected)
    assert (model.dim, model.sample_rate, model.duration) == (96, 32_000, 10.0)


def test_towers_start_as_copies_and_go_their_own_ways(encoder, waveforms):
    before = copy.deepcopy(encoder.state_dict())
    model = DualEncoder(encoder, projection=8)
    query, item = model.query_tower, model.item_tower
    torch.testing.assert_close(query.state_dict(), item.state_dict(), rtol=0, atol=0)
    assert not {p.data_ptr() for p in query.parameters()} & {
        p.data_ptr() for p in item.parameters()
    }
    train_step(model, waveforms)
    assert not torch.equal(query.projection.weight, item.projection.weight)
    torch.testing.assert_close(encoder.state_dict(), before, rtol=0, atol=0)


def test_a_shared_tower_is_one(encoder, waveforms):
    model = DualEncoder(encoder, shared=True)
    assert model.query_tower is model.item_tower
    train_step(model, waveforms)
    torch.testing.assert_close(*embeddings(model.eval(), waveforms))


def test_every_parameter_gets_a_gradient(encoder, waveforms):
    model = DualEncoder(encoder, projection=8)
    nt_xent(*model(waveforms, waveforms.flip(1))).backward()
    assert all(p.grad is not None for p in model.parameters())  # or DDP would refuse them


def test_projection_is_linear_without_bias(encoder, waveforms):
    plain, model = DualEncoder(encoder).eval(), DualEncoder(encoder, projection=8).eval()
    trunk, _ = embeddings(plain, waveforms)
    expected = F.normalize(trunk @ model.query_tower.projection.weight.detach().T, dim=1)
    torch.testing.assert_close(embeddings(model, waveforms)[0], expected)
    assert model.dim == 8 and model.query_tower.projection.bias is None


def test_a_frozen_trunk_keeps_weights_and_statistics(encoder, waveforms):
    model = DualEncoder(encoder, projection=8, freeze_trunk=True).train()
    before = copy.deepcopy(model.state_dict())
    train_step(model, waveforms)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"query_tower.projection.weight", "item_tower.projection.weight"}
    assert model.training and not any(m.training for m in model.query_tower.trunk.modules())
    free = DualEncoder(model.query_tower.trunk)  # frozen, and in evaluation mode
    assert all(p.requires_grad for p in free.parameters())
    assert all(m.training for m in free.modules())


def test_statistics_may_be_kept_while_all_else_is_trained(encoder, waveforms):
    model = DualEncoder(encoder, shared=True, freeze_statistics=True).train()
    before = copy.deepcopy(model.state_dict())
    train_step(model, waveforms)
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    statistics = {name for name in before if "running_" in name or "num_batches" in name}
    assert statistics and not changed & statistics
    assert {f"query_tower.trunk.features.16.{n}" for n in ("0.weight", "1.bias")} <= changed
    # What training computes is what evaluation does: no batch has statistics of its own.
    torch.testing.assert_close(model(waveforms, waveforms), model.eval()(waveforms, waveforms))


def test_cards_that_do_not_know_of_statistics(encoder, tmp_path):
    folder = DualEncoder(encoder, freeze_statistics=True).save_pretrained(tmp_path)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    card["freeze_statistics"] = "no"
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(CheckpointError, match="freeze_statistics: found 'no', expected true or"):
        DualEncoder.from_pretrained(folder)
    del card["freeze_statistics"]
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    assert DualEncoder.from_pretrained(folder).freeze_statistics is False


def test_half_precision_is_for_the_towers_only(encoder, waveforms):
    model, seen = DualEncoder(encoder).eval(), []
    hook = model.query_tower.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        queries, _ = model(waveforms, waveforms)
    hook.remove()
    torch.testing.assert_close(seen[0], LogMel()(waveforms), rtol=0, atol=0)
    assert queries.dtype == torch.float32
    torch.testing.assert_close(queries.norm(dim=1), torch.ones(3))
    assert (queries * embeddings(model, waveforms)[0]).sum(1).min() > 0.99


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"encoder": "mn04_as"}, TypeError, "found encoder str.*expected a MobileNet .*load_aud"),
        ({"front_end": torch.nn.Identity()}, TypeError, "front_end Identity, expected .*LogMel"),
        ({"projection": 0}, ValueError, "projection 0 and duration 10.0, expected None or a pos"),
        ({"projection": True}, ValueError, "projection True"),
        ({"duration": -1}, ValueError, "duration -1, expected"),
    ],
)
def test_arguments_are_checked(encoder, change, error, message):
    with pytest.raises(error, match=message):
        DualEncoder(**{"encoder": encoder, **change})


def test_side_and_shape_are_checked(encoder):
    model = DualEncoder(encoder)
    with pytest.raises(ValueError, match=r"found side 'left'.*expected 'query' or 'item'"):
        model.embed_log_mel(torch.zeros(1, 128, 40), "left")
    with pytest.raises(ValueError, match=r"shape \(1, 1, 128, 40\), expected.*\(batch, mels, fr"):
        model.embed_log_mel(torch.zeros(1, 1, 128, 40), "item")


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("projection", [None, 8])
def test_saves_and_loads(encoder, waveforms, tmp_path, shared, projection):
    options = {"shared": shared, "projection": projection, "freeze_trunk": shared}
    options["freeze_statistics"] = not shared
    front_end = LogMel(16_000, 64, 50, 7_000)
    model = DualEncoder(encoder, front_end=front_end, duration=2.5, **options)
    model = apart(model).to(memory_format=torch.channels_last)
    card = {"training_data": ["VimSketch"], "metrics": {"mrr": np.float32(0.25), "r1": np.nan}}
    folder = model.save_pretrained(tmp_path / "a" / "b", card)
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "card.json"}

    loaded = DualEncoder.from_pretrained(str(folder))
    assert not any(module.training for module in loaded.modules())
    assert (loaded.duration, loaded.sample_rate, loaded.shared) == (2.5, 16_000, shared)
    assert str(loaded.front_end) == str(front_end) and loaded.freeze_trunk == shared
    assert loaded.freeze_statistics is not shared
    assert (loaded.query_tower is loaded.item_tower) == shared
    for found, expected in zip(
        embeddings(loaded, waveforms), embeddings(model, waveforms), strict=True
    ):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)

    assert loaded.card["metrics"] == {"mrr": 0.25, "r1": None} and loaded.card["licence"] is None
    assert loaded.card["architecture"] == {"name": "mobilenet", "width": 0.1}
    assert loaded.card["versions"]["torch"] == torch.__version__


def test_a_shared_tower_is_stored_once_and_no_classifier(encoder, tmp_path):
    one = DualEncoder(encoder, shared=True).save_pretrained(tmp_path / "one")
    two = DualEncoder(encoder).save_pretrained(tmp_path / "two")
    size_one, size_two = ((f / "model.safetensors").stat().st_size for f in (one, two))
    assert size_one < 0.51 * size_two
    assert not any("classifier" in name for name in load_file(two / "model.safetensors"))


def test_what_the_model_knows_wins_over_the_given_card(encoder, tmp_path):
    model = DualEncoder(encoder)
    folder = model.save_pretrained(tmp_path, {"shared": True, "author": "me", "sha256": "x"})
    loaded = DualEncoder.from_pretrained(folder)
    assert loaded.card["shared"] is False and loaded.card["author"] == "me"
    loaded.save_pretrained(folder)  # a new model: what was said of the old one is not inherited
    assert "author" not in DualEncoder.from_pretrained(folder).card


def test_a_save_that_fails_leaves_the_former_one(encoder, waveforms, tmp_path, monkeypatch):
    model = DualEncoder(encoder).eval()
    model.save_pretrained(tmp_path)
    expected = embeddings(model, waveforms)
    write, written = type(tmp_path).write_bytes, []

    def full_disk(path, data):
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, data)

    monkeypatch.setattr(type(tmp_path), "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        apart(model).save_pretrained(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["card.json", "model.safetensors"]
    torch.testing.assert_close(
        embeddings(DualEncoder.from_pretrained(tmp_path), waveforms), expected
    )


def test_weights_that_are_not_finite_are_not_saved(encoder, tmp_path):
    model = DualEncoder(encoder, projection=8)
    with torch.no_grad():
        model.item_tower.projection.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite: item_tower.projection.weight"):
        model.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_and_card_of_two_saves_are_told_apart(encoder, tmp_path):
    model = DualEncoder(encoder)
    model.save_pretrained(tmp_path)
    card = (tmp_path / "card.json").read_text()
    apart(model).save_pretrained(tmp_path)
    (tmp_path / "card.json").write_text(card)
    with pytest.raises(CheckpointError, match=r"model.safetensors: SHA-256 is \w+, but its card"):
        DualEncoder.from_pretrained(tmp_path)


def test_all_that_is_wrong_with_the_weights_is_told_at_once(encoder, tmp_path):
    path = DualEncoder(encoder, projection=8).save_pretrained(tmp_path) / "model.safetensors"
    weights = load_file(path)
    weights["surplus"] = weights.pop("query_tower.trunk.features.0.0.weight")
    weights["item_tower.projection.weight"] = torch.zeros(8, 95)
    weights["query_tower.projection.weight"][0] = torch.inf
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        DualEncoder.from_pretrained(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and "SHA-256" in message
    assert "missing: query_tower.trunk.features.0.0.weight;" in message
    assert "unexpected: surplus;" in message
    assert "item_tower.projection.weight (8, 95) instead of (8, 96)" in message
    assert "not finite: query_tower.projection.weight" in message


def test_all_that_is_wrong_with_the_card_is_told_at_once(encoder, tmp_path):
    path = DualEncoder(encoder).save_pretrained(tmp_path) / "card.json"
    card = json.loads(path.read_text())
    card["architecture"] = {"name": "resnet", "width": "wide"}
    card["front_end"]["mels"] = 0
    del card["duration"], card["sha256"]
    path.write_text(json.dumps(card))
    (tmp_path / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(CheckpointError) as caught:
        DualEncoder.from_pretrained(tmp_path)
    for part in (
        "architecture.name: found 'resnet', expected 'mobilenet'",
        "architecture.width: found 'wide', expected a positive number",
        "front_end.mels: found 0",
        "duration: found nothing",
        "sha256: found nothing",
        "model.safetensors: cannot be read",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_a_card_that_is_none(encoder, tmp_path, content):
    path = DualEncoder(encoder).save_pretrained(tmp_path) / "card.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match="card.json: (cannot be read|found a list)"):
        DualEncoder.from_pretrained(tmp_path)


def test_a_front_end_that_cannot_be(encoder, tmp_path):
    path = DualEncoder(encoder).save_pretrained(tmp_path) / "card.json"
    card = json.loads(path.read_text())
    card["front_end"]["fmax"] = 20_000.0
    path.write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match="card.json: LogMel: found fmin 0.0 and fmax 20000"):
        DualEncoder.from_pretrained(tmp_path)


def test_finds_what_comes_with_the_package_by_name(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "SHIPPED", tmp_path)
    folder = DualEncoder(encoder).save_pretrained(tmp_path / "saved")
    (folder / "model.safetensors").rename(tmp_path / "mini.safetensors")
    (folder / "card.json").rename(tmp_path / "mini.json")
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert DualEncoder.from_pretrained("mini").dim == 96  # a name goes before a folder
    with pytest.raises(CheckpointError, match="mini: card.json: cannot be read"):
        DualEncoder.from_pretrained("./mini")
    with pytest.raises(CheckpointError, match="maxi: found no such folder; .* one of .*names mini"):
        DualEncoder.from_pretrained("maxi")


def lightning(query, item):
    """What Lightning writes for the AES baseline: its state dict among other things."""
    weights = {f"imitation_encoder.{k}": v for k, v in query.state_dict().items()}
    weights |= {f"reference_encoder.{k}": v for k, v in item.state_dict().items()}
    options = {"config": argparse.Namespace(initial_tau=0.07)}
    weights["tau"] = torch.tensor([-0.06])
    return {"epoch": 3, "state_dict": weights, "loops": {}, "hyper_parameters": options}


def greif(query, item=None):
    weights = {f"im.{k}": v for k, v in query.state_dict().items()}
    return weights | ({f"rec.{k}": v for k, v in item.state_dict().items()} if item else {})


def expect(model, encoders, waveforms):
    """Each side embeds as its encoder."""
    log_mel = LogMel()(waveforms)[:, None]
    for found, encoder in zip(embeddings(model, waveforms), encoders, strict=True):
        torch.testing.assert_close(found, F.normalize(encoder.eval()(log_mel)[1], dim=1))


def test_reads_the_aes_checkpoint(encoder, waveforms, tmp_path):
    item = apart(copy.deepcopy(encoder))
    torch.save(lightning(encoder, item), tmp_path / "baseline.ckpt")
    model = load_published(tmp_path / "baseline.ckpt")
    expect(model, (encoder, item), waveforms)
    assert model.card["file"] == "baseline.ckpt" and "AES" in model.card["source"]
    assert model.card["temperature"] == pytest.approx(0.06) and not model.training
    folder = model.save_pretrained(tmp_path / "ours", model.card)
    expect(DualEncoder.from_pretrained(folder), (encoder, item), waveforms)


@pytest.mark.parametrize("width", [0.1, 0.2])
@pytest.mark.parametrize("towers", [1, 2])
def test_reads_those_of_greif(waveforms, tmp_path, width, towers):
    torch.manual_seed(5)
    encoders = [MobileNet(width, classes=476) for _ in range(towers)]
    torch.save(greif(*encoders), tmp_path / "ct_nt_xent_fold0mn10d10s32_01.pt")
    model = load_published(str(tmp_path / "ct_nt_xent_fold0mn10d10s32_01.pt"))
    expect(model, (encoders[0], encoders[-1]), waveforms)
    assert model.shared == (towers == 1) and model.width == pytest.approx(width)


def test_all_keys_that_do_not_fit_are_one_error(encoder, tmp_path):
    path = tmp_path / "baseline.ckpt"
    checkpoint = lightning(encoder, encoder)
    weights = checkpoint["state_dict"]
    del weights["tau"], weights["reference_encoder.classifier.5.bias"]
    weights["imitation_encoder.extra"] = torch.zeros(1)
    weights["reference_encoder.features.0.1.weight"] = torch.zeros(9)
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError) as caught:
        load_published(path)
    message = str(caught.value)
    assert str(path) in message and "AES" in message
    assert "missing: reference_encoder.classifier.5.bias, tau;" in message
    assert "unexpected: imitation_encoder.extra;" in message
    assert "reference_encoder.features.0.1.weight (9,) instead of (8,)" in message


def test_a_tower_that_is_missing_is_told_in_brief(encoder, tmp_path):
    checkpoint = lightning(encoder, encoder)
    kept = {k: v for k, v in checkpoint["state_dict"].items() if not k.startswith("reference")}
    torch.save({"state_dict": kept}, tmp_path / "half.ckpt")
    with pytest.raises(CheckpointError, match=r"missing: reference_encoder.* and \d+ more"):
        load_published(tmp_path / "half.ckpt")


def test_a_file_of_another_kind(encoder, tmp_path):
    torch.save(encoder.state_dict(), tmp_path / "mn01.pt")
    with pytest.raises(CheckpointError, match=r"found keys features.*expected imitation_encoder"):
        load_published(tmp_path / "mn01.pt")
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="found keys none, expected"):
        load_published(tmp_path / "list.pt")
    torch.save({"im.features.16.0.weight": torch.tensor(1.0)}, tmp_path / "scalar.pt")
    with pytest.raises(CheckpointError, match=r"features.16.0.weight \(\) instead of"):
        load_published(tmp_path / "scalar.pt")
    (tmp_path / "page.pt").write_text("<html>")
    for name in ("page.pt", "nowhere.pt"):
        with pytest.raises(CheckpointError, match=f"{name}: cannot be read"):
            load_published(tmp_path / name)


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_nothing_in_a_file_is_run(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({**lightning(encoder, encoder), "callbacks": Malicious()}, "baseline.ckpt")
    with pytest.raises(CheckpointError, match="cannot be read as tensors alone .*mkdir") as caught:
        load_published("baseline.ckpt")
    assert "weights_only" not in str(caught.value)  # torch's advice to run it after all
    assert not (tmp_path / "ran").exists()


def test_the_hash_on_the_card_is_that_of_the_file(encoder, tmp_path):
    DualEncoder(encoder).save_pretrained(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert card["sha256"] == digest and card["versions"]["qvim_kit"] == qvim_kit.__version__


ABSURD = {
    "architecture.width": [1e9, 1e308, 10**400, 99.5, -1, 0, "1", True, float("nan")],
    "projection": [10**12, 10**400, 99_999, 0, 2.5, True],
    "front_end.mels": [10**9, 0],
    "front_end.sample_rate": [10**12],
    "front_end.fmax": [1e308],
    "duration": [1e300, 10**400, float("inf")],
    "shared": [None, 1],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, some in ABSURD.items() for v in some])
def test_a_card_of_absurd_sizes_is_an_error_not_an_allocation(encoder, tmp_path, key, value):
    path = DualEncoder(encoder, projection=8).save_pretrained(tmp_path) / "card.json"
    card = json.loads(path.read_text())
    *parents, last = key.split(".")
    place = card
    for parent in parents:
        place = place[parent]
    place[last] = value
    path.write_text(json.dumps(card))
    with pytest.raises(CheckpointError) as caught:
        DualEncoder.from_pretrained(tmp_path)
    message = str(caught.value)
    assert str(tmp_path) in message and len(message) < 10_000
    assert last in message or "instead of" in message


def test_a_size_within_the_limits_is_compared_without_its_memory(encoder, tmp_path, monkeypatch):
    """Towers of width 99.5 would take 400 GB; only their shapes are made."""
    path = DualEncoder(encoder).save_pretrained(tmp_path) / "card.json"
    path.write_text(path.read_text().replace('"width": 0.1', '"width": 99.5'))
    with pytest.raises(CheckpointError, match=r"misshapen: .*\(8, 1, 3, 3\) instead of \(1592, 1,"):
        DualEncoder.from_pretrained(tmp_path)


def test_a_card_nested_too_deep(encoder, tmp_path):
    path = DualEncoder(encoder).save_pretrained(tmp_path) / "card.json"
    path.write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="card.json: cannot be read"):
        DualEncoder.from_pretrained(tmp_path)


def test_weights_of_another_precision_are_read(encoder, tmp_path):
    """Eight bits, whole numbers: what fits is converted, and asked for infinities, all the same."""
    from safetensors.torch import load_file, save_file

    folder = DualEncoder(encoder).save_pretrained(tmp_path)
    weights = load_file(folder / "model.safetensors")
    for kind in (torch.float16, torch.float8_e4m3fn):
        changed = {k: v.to(kind) if v.is_floating_point() else v for k, v in weights.items()}
        save_file(changed, folder / "model.safetensors")
        card = json.loads((folder / "card.json").read_text())
        card["sha256"] = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        (folder / "card.json").write_text(json.dumps(card))
        model = DualEncoder.from_pretrained(folder)
        assert all(p.dtype == torch.float32 for p in model.parameters())
