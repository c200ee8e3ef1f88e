"""What runs an encoder on a CPU: ONNX Runtime, from a graph that is exported once, or torch.

ONNX Runtime folds batch norms into the convolutions and lays channels out as the processor's
vector registers want them: about three times as fast as eager torch, with embeddings that agree
to six digits. The front end stays in torch, whose Fourier transform is twenty times as fast.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from qvim_kit.models.graphs import (
    Embedding,
    evaluating,
    export,
    graph_key,
    load_graph,
    of_the_kit,
    store_graph,
)
from qvim_kit.models.mobilenet import MobileNet
from qvim_kit.models.tower import Tower

Run = Callable[[torch.Tensor], np.ndarray]

CHOICES = ("auto", "onnx", "torch")
CLIPS = 2  # a forward on a CPU; larger batches leave the processor's caches and are slower
# Clips after which "auto" has paid for what it starts: a session takes as long as ONNX Runtime
# saves on 8 clips of mn04, an export, once for these weights, as long as it saves on 64.
LOAD_FROM, EXPORT_FROM = 8, 64
AGREEMENT = 1e-4  # of an export with torch, relative to the largest number in the embeddings
HOW = 'pip install "qvim-kit[fast]"'
_EXPORTING = threading.Lock()  # torch's exporter keeps its state in globals


class EngineError(RuntimeError):
    """An encoder cannot be run as asked for. The message says why and what to do."""


class Engine:
    """Runs encoders, by ONNX Runtime where that is quicker; never with weights they had before.

    Exported graphs are kept in the cache folder by a hash of structure and weights, and shared
    by processes. As many threads are used as torch is allowed.

    Args:
        choice: "torch" is eager torch. "onnx" insists on ONNX Runtime. "auto" takes it for the
            kit's MobileNets on a CPU, if it is installed, from the 8th clip on where their
            weights have been exported before, and exports them at the 64th, so that few clips
            never wait for it; until then, and if an export fails (one warning), it is torch.
        device: where the encoders are.

    Raises `ValueError` for another choice, and "onnx" with a device that is no CPU; `EngineError`
    for "onnx" where it is not installed.
    """

    def __init__(self, choice: str = "auto", device: str | torch.device = "cpu"):
        self.choice, self.device = choice, str(device)
        self.on_cpu = torch.device(device).type == "cpu"
        if choice not in CHOICES or (choice == "onnx" and not self.on_cpu):
            where = "" if choice not in CHOICES else f" with device {self.device!r}"
            expected = 'device="cpu"' if where else f"one of {', '.join(CHOICES)}"
            raise ValueError(f"engine: found {choice!r}{where}, expected {expected}")
        absent = [name for name in ("onnxruntime", "onnx") if not importlib.util.find_spec(name)]
        if choice == "onnx" and absent:
            raise EngineError(f"engine='onnx' needs the packages onnxruntime and onnx; run: {HOW}")
        self.usable = choice != "torch" and self.on_cpu and not absent
        self._known: WeakKeyDictionary[nn.Module, _Known] = WeakKeyDictionary()

    def __reduce__(self) -> tuple:
        return type(self), (self.choice, self.device)  # a session cannot be copied

    def __call__(self, encoder: nn.Module, inputs: torch.Tensor) -> np.ndarray:
        """What the encoder returns, or the last of what it returns: inputs (batch, …, frames) →
        (batch, dim) float32. It runs in evaluation mode, and stays in the mode it is in.

        Raises `EngineError` where "onnx" cannot export the encoder.
        """

        def in_torch(part: torch.Tensor) -> np.ndarray:
            return Embedding(encoder)(part).float().cpu().numpy()

        with evaluating(encoder), torch.inference_mode():
            run = in_torch
            if self.usable and len(inputs) and (self.choice == "onnx" or suits(encoder)):
                run = self._session(encoder, inputs, in_torch) or in_torch
            parts = inputs.split(CLIPS) if self.on_cpu else [inputs]
            return np.concatenate([run(part) for part in parts])

    def _session(self, encoder: nn.Module, inputs: torch.Tensor, in_torch: Run) -> _Session | None:
        """ONNX Runtime with the encoder in it, or None where torch is to be used."""
        insists = self.choice == "onnx"
        known = self._known.get(encoder)
        if known is None or not known.holds(encoder):
            known = self._known[encoder] = _Known(encoder, inputs.ndim)
        known.clips += len(inputs)
        if not insists and known.clips < LOAD_FROM:
            return None
        try:
            graph = known.graph or load_graph(known.key)
            if graph is None and (insists or known.clips >= EXPORT_FROM):
                with _EXPORTING:
                    graph = export(encoder, inputs)
                _check(_Session(graph), in_torch, inputs[:CLIPS])
                store_graph(known.key, graph)
            if graph and not (known.session and known.session.fits()):
                known.graph, known.session = graph, _Session(graph)
        except Exception as error:  # an exporter raises anything
            reason = f"{type(encoder).__name__} cannot be run by ONNX Runtime ({_line(error)})"
            if insists:
                raise EngineError(f"engine='onnx': {reason}; use engine='torch'") from error
            warnings.warn(f"{reason}; torch is used, which is slower", stacklevel=2)
            self.usable, known.session = False, None
        return known.session


def suits(encoder: nn.Module) -> bool:
    """Whether "auto" takes ONNX Runtime for it: the kit's MobileNets, unchanged."""
    return isinstance(encoder, (MobileNet, Tower)) and of_the_kit(encoder)


class _Known:
    """An encoder with the weights that it has now, what its graph is kept by, and its session."""

    graph: bytes | None = None
    session: _Session | None = None

    def __init__(self, encoder: nn.Module, dimensions: int):
        self.kinds = _kinds(encoder)
        # The numbers themselves: version counters miss what is written through `.data`.
        self.weights = [tensor.detach().clone() for tensor in _weights(encoder)]
        trusted = of_the_kit(encoder)  # else weights and structure do not tell everything
        self.key = graph_key(encoder, f"{dimensions} dimensions") if trusted else None
        self.clips = 0

    def holds(self, encoder: nn.Module) -> bool:
        """Whether the encoder is still the same."""
        weights = _weights(encoder)
        return (
            len(weights) == len(self.weights)
            and self.kinds == _kinds(encoder)
            and all(map(torch.equal, weights, self.weights))
        )


class _Session:
    """A graph in ONNX Runtime, with as many threads as torch has now, in this process."""

    def __init__(self, graph: bytes):
        import onnxruntime

        self.made_for = self._here()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        # Threads that spin between two batches would slow the decoding of the next files.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(graph, options, providers=providers)

    def fits(self) -> bool:
        return self.made_for == self._here()

    def __call__(self, inputs: torch.Tensor) -> np.ndarray:
        return self.session.run(None, {"inputs": inputs.numpy()})[0]

    @staticmethod
    def _here() -> tuple[int, int]:
        return torch.get_num_threads(), os.getpid()  # threads do not survive a fork


def _weights(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def _kinds(module: nn.Module) -> list[type]:
    return [type(part) for part in module.modules()]


def _check(session: _Session, in_torch: Run, inputs: torch.Tensor) -> None:
    expected, found = in_torch(inputs), session(inputs)
    difference = np.abs(found - expected).max()
    if not difference <= AGREEMENT * np.abs(expected).max():
        raise ValueError(f"its embeddings differ from torch's by {difference:.2g}")


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
