"""Published checkpoints of other projects → `DualEncoder`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import torch

from qvim_kit.models.dual_encoder import DualEncoder
from qvim_kit.models.mobilenet import AUDIOSET_CLASSES, CheckpointError, MobileNet
from qvim_kit.models.storage import differences, some

LAST_CONV, LAST_BIAS = "features.16.0.weight", "classifier.5.bias"


class Published(NamedTuple):
    """How a published checkpoint names its towers, and what it holds besides."""

    source: str
    query: str
    item: str
    others: dict[str, tuple[int, ...]]  # key: shape


PUBLISHED = (
    Published("AES AIMLA 2025 baseline", "imitation_encoder.", "reference_encoder.", {"tau": (1,)}),
    Published("Greif et al. 2024", "im.", "rec.", {}),
)


def load_published(path: str | os.PathLike) -> DualEncoder:
    """A published checkpoint as a DualEncoder, in evaluation mode, on the CPU.

    Reads those of the AES AIMLA 2025 baseline (a Lightning checkpoint) and of Greif et al. 2024
    (a state dict; with one tower where they trained one), of any width. Nothing in the file is
    run. The card of the model holds ``source``, ``file`` and a stored ``temperature``.

    Raises `CheckpointError` naming the file and all missing, unexpected and misshapen keys, before
    any memory is taken for sizes that the file claims and does not hold.
    """
    path = Path(path).expanduser()
    weights = _tensors_in(path)
    found = [kind for kind in PUBLISHED if any(key.startswith(kind.query) for key in weights)]
    if not found:
        known = ", ".join(f"{kind.query}* ({kind.source})" for kind in PUBLISHED)
        raise CheckpointError(f"{path}: found keys {some(list(weights))}, expected {known}")
    kind = found[0]
    # Before anything is made by their sizes: a shape in a file may claim any number of numbers.
    if unreal := [key for key, tensor in weights.items() if not _is_plain(tensor)]:
        raise CheckpointError(
            f"{path} ({kind.source}): damaged, or made to fill the memory: not as many plain "
            f"numbers as their shapes say: {some(unreal)}; download it again"
        )
    shared = not kind.others and not any(key.startswith(kind.item) for key in weights)
    prefixes = [kind.query] if shared else [kind.query, kind.item]
    # The last convolution has 960 · width channels; the last layer a row for each class.
    channels, classes = (_rows(weights.get(kind.query + key)) for key in (LAST_CONV, LAST_BIAS))
    size = channels / 960 or 1.0, classes or AUDIOSET_CLASSES
    with torch.device("meta"):  # takes no memory
        planned = MobileNet(*size).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in planned.items()}
    expected = {prefix + key: shapes[key] for prefix in prefixes for key in shapes}
    if problems := differences(weights, {**expected, **kind.others}):
        raise CheckpointError(f"{path} ({kind.source}): " + "; ".join(problems))
    model = DualEncoder(MobileNet(*size), shared=shared)
    for prefix, tower in zip(prefixes, (model.query_tower, model.item_tower), strict=False):
        trunk = {key: weights[prefix + key] for key in tower.trunk.state_dict()}
        tower.trunk.load_state_dict(trunk)
    model.card = {"source": kind.source, "file": path.name}
    if "tau" in weights:
        model.card["temperature"] = abs(weights["tau"].item())
    return model.eval()


def _tensors_in(path: Path) -> dict[str, object]:
    """The state dict in a file, which may hold anything but code."""
    try:
        # Lightning stores options as a Namespace, which holds values and runs nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        lines = str(error).split("WeightsUnpickler error:")[-1].splitlines()
        lines = [line for line in lines if line.strip() and "weights_only" not in line]  # advice
        reason = (lines or [type(error).__name__])[0].split(". ")[0].strip()
        raise CheckpointError(f"{path}: cannot be read as tensors alone ({reason})") from error
    weights = stored.get("state_dict", stored) if isinstance(stored, dict) else {}
    return {str(key): weights[key] for key in weights} if isinstance(weights, dict) else {}


def _is_plain(tensor: object) -> bool:
    """Whether each number of a tensor's shape is in the file; what is no tensor is told later.

    Strides of 0 show one stored number as any number of them; sparse, quantised and meta tensors
    store others than they show.
    """
    if not isinstance(tensor, torch.Tensor):
        return True
    if tensor.is_nested or tensor.is_quantized or tensor.is_complex():
        return False
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return 0 < tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _rows(tensor: object) -> int:
    return [*getattr(tensor, "shape", ()), 0][0]
