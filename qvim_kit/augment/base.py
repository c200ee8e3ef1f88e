"""What every augmentation keeps to, and the draws they share.

Notebook: 02_augment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Augmentation:
    """Changes each clip of a batch in its own random way: ``augment(x, generator)``.

    The result is a new tensor with the shape, type and device of x. All randomness comes from
    the generator: the same seed gives the same result, and torch's global one is left alone. A
    generator on the CPU gives the same draws for x on a GPU.

    A subclass writes `apply`, for the clips that are to change, and may list `_problems`. Its
    last field is ``p``, the probability that a clip changes at all.

    Shape:
        - x: (batch, samples) or, for spectrograms, (batch, mels, frames); floating point.
        - Output: as x.

    Raises ValueError for an x of another shape or type.
    """

    axes = ("batch", "samples")

    def __post_init__(self):
        problems = [] if 0 <= self.p <= 1 else [f"p: found {self.p}, expected 0 to 1"]
        problems += [text for bad, text in self._problems() if bad]
        if problems:
            raise ValueError(f"{self}: " + "; ".join(problems))

    def __call__(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        name, expected = type(self).__name__, f"floating point of shape ({', '.join(self.axes)})"
        if not isinstance(x, torch.Tensor):
            found = type(x).__name__
            raise ValueError(f"{name}: found {found}, expected a torch tensor, {expected}")
        if not isinstance(generator, torch.Generator):
            found = type(generator).__name__
            raise ValueError(f"{name}: found generator {found}, expected a torch.Generator")
        if x.ndim != len(self.axes) or not x.is_floating_point():
            found = f"{x.dtype} of shape {tuple(x.shape)}"
            raise ValueError(f"{name}: found {found}, expected {expected}")
        chosen = self._choose(len(x), generator).to(x.device)
        out = x.clone()
        if x.numel() and chosen.any():
            # Half precision has no Fourier transform on a CPU.
            precise = torch.promote_types(x.dtype, torch.float32)
            out[chosen] = self.apply(x[chosen].to(precise), generator).to(x.dtype)
        return out

    def apply(self, x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The clips x, of at least 32 bits, each changed."""
        raise NotImplementedError

    def _choose(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        return uniform(0, 1, batch, generator) < self.p

    def _problems(self) -> list[tuple[bool, str]]:
        """(is it bad, what is wrong) for each parameter."""
        return []


def uniform(low: float, high: float, size: int, generator: torch.Generator) -> torch.Tensor:
    """One float64 a clip, between low and high, on the generator's device: (size,)."""
    draw = torch.rand(size, dtype=torch.float64, device=generator.device, generator=generator)
    return torch.full_like(draw, low) if low == high else low + (high - low) * draw


def normal(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Standard normal noise like x."""
    shape, device = x.shape, generator.device
    return torch.randn(shape, dtype=x.dtype, device=device, generator=generator).to(x.device)


def spans(batch: int, length: int, longest: int, generator: torch.Generator) -> torch.Tensor:
    """True on one run per clip, 0 to ``longest`` wide and anywhere: (batch, length)."""
    widths = (uniform(0, 1, batch, generator) * (min(longest, length) + 1)).long()
    starts = (uniform(0, 1, batch, generator) * (length - widths + 1)).long()
    place = torch.arange(length, device=generator.device)
    return (place >= starts[:, None]) & (place < (starts + widths)[:, None])


def rate_problems(low: float, high: float) -> list[tuple[bool, str]]:
    """What is wrong with a range of playing rates, for `Augmentation._problems`."""
    wrong = not 0.1 <= low <= high <= 10
    return [(wrong, f"rates: found {(low, high)}, expected 0.1 ≤ low ≤ high ≤ 10")]
