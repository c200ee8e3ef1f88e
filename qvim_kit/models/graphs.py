"""Encoders as ONNX graphs, kept in the cache folder by the weights they were exported from.

A file is named by what it depends on and by its own hash, and moved into place when complete, so
processes may share the folder, and what is damaged or not ours is recognised.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import nn

import qvim_kit
from qvim_kit.paths import beside, cache_folder

OPSET = 17  # of the operators; every ONNX Runtime since 1.13 has them
KEPT = 16  # graphs, 2 MB (mn04) to 12 MB (mn10) each; a training validated often leaves many


class Embedding(nn.Module):
    """Of what an encoder returns, (logits, embedding) or the embedding, only the embedding."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found = self.encoder(inputs)
        return found if isinstance(found, torch.Tensor) else found[-1]


def export(encoder: nn.Module, inputs: torch.Tensor) -> bytes:
    """The encoder as an ONNX graph that takes any number of clips and frames.

    By torch's older exporter, which follows one forward: for a MobileNet the newer one takes
    twenty times as long and its graph is no faster.
    """
    file, axes = io.BytesIO(), {"inputs": {0: "batch", inputs.ndim - 1: "frames"}}
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        evaluating(encoder),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # that it is the older one, and that it follows one forward
        torch.onnx.export(
            Embedding(encoder).eval(),
            (torch.zeros(2, *inputs.shape[1:-1], 128),),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["inputs"],
            output_names=["embeddings"],
            dynamic_axes={**axes, "embeddings": {0: "batch"}},
        )
    return file.getvalue()


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules in evaluation mode; afterwards each part is in the mode that it was in."""
    training = [part for module in modules for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def of_the_kit(module: nn.Module) -> bool:
    """Whether structure and weights tell all: every part is torch's or the kit's, unchanged."""
    return all(
        type(part).__module__.startswith(("qvim_kit.", "torch.nn."))
        and not (part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part))
        for part in module.modules()
    )


def content_hash(*modules: nn.Module) -> str:
    """Of structure, weights, constants, and the kit's source of all parts."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(repr(module).encode())
        digest_weights(digest, module)
        for name in sorted({type(part).__module__ for part in module.modules()}):
            if name.startswith("qvim_kit."):  # whoever changes a forward meets no old embeddings
                digest.update(inspect.getsource(sys.modules[name]).encode())
    return digest.hexdigest()


def digest_weights(digest: hashlib._Hash, module: nn.Module) -> None:
    """Add a module's weights and constants, as they are now, to a hash."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())


def graph_key(module: nn.Module, how: str) -> str:
    """What the graph of a module depends on, exported ``how`` by these versions."""
    versions = f"{qvim_kit.__version__} {torch.__version__} opset {OPSET} {how}"
    return _hash(f"{versions} {content_hash(module)}".encode())


def load_graph(key: str | None) -> bytes | None:
    """The graph kept under a key; None if there is none, or no whole one, which is removed."""
    for path in sorted(graphs_folder().glob(f"{key}-*.onnx")) if key else []:
        with suppress(OSError):
            graph = path.read_bytes()
            if path.stem == f"{key}-{_hash(graph)}":
                os.utime(path)  # the ones used last are kept
                return graph
            path.unlink()
    return None


def store_graph(key: str | None, graph: bytes) -> None:
    """Keep a graph, and of all graphs the newest; one that cannot be kept stops nothing."""
    if key is None:
        return
    folder = graphs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with beside(folder / f"{key}-{_hash(graph)}.onnx") as part:
            part.write_bytes(graph)
    except OSError as error:
        warnings.warn(f"{folder}: the exported encoder is not kept ({error})", stacklevel=2)
        return
    with suppress(OSError):  # another process may be doing the same
        for old in sorted(folder.iterdir(), key=os.path.getmtime, reverse=True)[KEPT:]:
            old.unlink()


def graphs_folder() -> Path:
    """Where graphs are kept; it need not exist yet."""
    return cache_folder() / "graphs"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
