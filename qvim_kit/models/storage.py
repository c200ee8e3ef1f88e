"""How a trained model lies in a folder: its weights, and a card that says what they are.

`dual_encoder.DualEncoder` saves and loads with these.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import reprlib
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch

import qvim_kit
from qvim_kit.models.mobilenet import CheckpointError

FORMAT = 1  # of the card
WEIGHTS, CARD = "model.safetensors", "card.json"
SHIPPED = Path(qvim_kit.__file__).resolve().parent / "weights"  # NAME.safetensors, NAME.json
TOLD = 20  # keys of one kind that an error lists
ABSENT = object()


def is_natural(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value > 0


def is_positive(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < math.inf


def is_positive_up_to(limit: float) -> Callable[[Any], bool]:
    return lambda value: is_positive(value) and value <= limit


def is_natural_up_to(limit: int) -> Callable[[Any], bool]:
    return lambda value: is_natural(value) and value <= limit


# What a card must say for its model to be built: key, what is expected, whether it is met. The
# limits are far beyond use; without them a damaged card could ask for more memory than there is.
CardKey = tuple[str, str, Callable[[Any], bool]]
CARD_KEYS: tuple[CardKey, ...] = (
    ("format", f"{FORMAT}, which this version of the kit reads", lambda v: v == FORMAT),
    ("architecture.name", "'mobilenet'", lambda v: v == "mobilenet"),
    ("architecture.width", "a positive number up to 100", is_positive_up_to(100)),
    ("shared", "true or false", lambda v: isinstance(v, bool)),
    (
        "projection",
        "null or a positive whole number up to 100000",
        lambda v: v is None or is_natural_up_to(100_000)(v),
    ),
    ("freeze_trunk", "true or false", lambda v: isinstance(v, bool)),
    # Older cards lack these two.
    ("freeze_statistics", "true or false", lambda v: v is ABSENT or isinstance(v, bool)),
    ("prepared", "true or false", lambda v: v is ABSENT or isinstance(v, bool)),
    ("front_end.name", "'LogMel'", lambda v: v == "LogMel"),
    (
        "front_end.sample_rate",
        "a positive whole number up to 1000000",
        is_natural_up_to(1_000_000),
    ),
    ("front_end.mels", "a positive whole number up to 1024", is_natural_up_to(1024)),
    ("front_end.fmin", "a number, 0 or more", lambda v: v == 0 or is_positive(v)),
    ("front_end.fmax", "a positive number", is_positive),
    ("duration", "a positive number up to 3600", is_positive_up_to(3600)),
    ("sha256", "text", lambda v: isinstance(v, str)),
)


def find_files(name_or_folder: str | os.PathLike) -> tuple[Path, Path]:
    """The weights and the card of a checkpoint that comes with the package, or in a folder.

    A name goes before a folder that is called so; ``./name`` is the folder.
    """
    if str(name_or_folder) in (names := shipped()):
        weights = SHIPPED / f"{name_or_folder}.safetensors"
        return weights, weights.with_suffix(".json")
    folder = Path(name_or_folder).expanduser()
    if folder.is_dir():
        return folder / WEIGHTS, folder / CARD
    raise CheckpointError(
        f"{name_or_folder}: found no such folder; expected one that save_pretrained wrote, or one "
        f"of the names {some(names)}"
    )


def shipped() -> list[str]:
    """The names of the checkpoints that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def read_card(path: Path, keys: Sequence[CardKey] = CARD_KEYS) -> tuple[dict[str, Any], list[str]]:
    """The card, and what is wrong with it; every problem begins with the file's name.

    Args:
        keys: what it must say: a `DualEncoder`'s, or another architecture's.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return {}, [f"{CARD}: cannot be read ({error})"]
    if not isinstance(card, dict):
        return {}, [f"{CARD}: found a {type(card).__name__}, expected an object"]
    problems = []
    for key, expected, met in keys:
        value: Any = card
        for step in key.split("."):
            value = value.get(step, ABSENT) if isinstance(value, dict) else ABSENT
        if not met(value):
            found = "nothing" if value is ABSENT else reprlib.repr(value)
            problems.append(f"{CARD}: {key}: found {found}, expected {expected}")
    return card, problems


def read_weights(path: Path, sha256: object) -> tuple[dict[str, torch.Tensor] | None, list[str]]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        weights = load(data)
    except (OSError, SafetensorError) as error:
        return None, [f"{WEIGHTS}: cannot be read ({error})"]
    if isinstance(sha256, str) and (digest := hashlib.sha256(data).hexdigest()) != sha256:
        return weights, [f"{WEIGHTS}: SHA-256 is {digest}, but its card says {sha256}"]
    return weights, []


def differences(found: dict[str, Any], expected: dict[str, tuple[int, ...]]) -> list[str]:
    """Missing, unexpected and misshapen keys, and tensors that are not finite."""
    shapes = {key: tuple(getattr(tensor, "shape", ["?"])) for key, tensor in found.items()}
    misshapen = [
        f"{key} {shapes[key]} instead of {shape}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    kinds = {
        "missing": [key for key in expected if key not in shapes],
        "unexpected": [key for key in shapes if key not in expected],
        "misshapen": misshapen,
        "not finite": not_finite(found),
    }
    return [f"{kind}: {some(keys)}" for kind, keys in kinds.items() if keys]


def not_finite(weights: dict[str, Any]) -> list[str]:
    return [
        name
        for name, tensor in weights.items()
        if isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and not tensor.float().isfinite().all()  # 8-bit numbers cannot be asked themselves
    ]


def some(keys: list[str]) -> str:
    more = f" and {len(keys) - TOLD} more" if len(keys) > TOLD else ""
    return ", ".join(map(str, keys[:TOLD])) + more or "none"


def plain(card: dict[str, Any]) -> dict[str, Any]:
    """What JSON can hold of a card: a metric that is NaN must not cost the training its end."""

    def simple(value: Any) -> Any:
        return value.tolist() if hasattr(value, "tolist") else str(value)

    return json.loads(json.dumps(card, default=simple), parse_constant=lambda _: None)


def write_model(
    folder: Path, weights: dict[str, torch.Tensor], card: dict[str, Any]
) -> dict[str, Any]:
    """Write a model's weights and its card into a folder; returns the card as it was written.

    Raises `ValueError` where weights are not finite, `OSError` where a file cannot be written.
    """
    if names := not_finite(weights):
        raise ValueError(f"{folder}: not saved, as weights are not finite: {some(names)}")
    from safetensors.torch import save

    data = save(weights, metadata={"format": "pt"})
    unsaid = {"training_data": None, "metrics": None, "licence": None}
    card = plain({**unsaid, **card, "sha256": hashlib.sha256(data).hexdigest()})
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    write_all({folder / WEIGHTS: data, folder / CARD: text.encode()})
    return card


def write_all(contents: dict[Path, bytes]) -> None:
    """Write files beside their places, then move all."""
    parts = {path.with_name(f".{path.name}.{os.getpid()}.part"): path for path in contents}
    try:
        for part, path in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[path])
        for part, path in parts.items():
            os.replace(part, path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
