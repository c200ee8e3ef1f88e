"""Exercise: an augmentation of one's own. Notebook: 02_augment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qvim_kit.exercises.running import NotYet, called, kind, require_takes, told_error

if TYPE_CHECKING:
    import torch

CLIPS, SAMPLES, GAP = 8, 400, 100


def judge(answer: Callable) -> str:
    """An `Augmentation` that silences a quarter of each clip, at a place drawn for each anew."""
    import torch

    from qvim_kit.augment import Augmentation

    if isinstance(answer, type):
        require_takes(answer, ["p"])
        answer, error = called(answer, 1.0)
        if error:
            raise NotYet(f"Not yet. With p = 1.0, {told_error(error)}")
    if not isinstance(answer, Augmentation):
        raise NotYet(f"Not yet. Found {kind(answer)}, expected a class extending Augmentation.")
    clips = torch.rand(CLIPS, SAMPLES, generator=torch.Generator().manual_seed(0)) + 0.5
    first, again, other = (_changed(answer, clips, seed) for seed in (1, 1, 2))
    places = [_gap(first[n], clips[n], n) for n in range(CLIPS)]
    problem = ""
    if not torch.equal(first, again):
        problem = "One seed gives two results. Draw with `generator=generator`, not without."
    elif torch.equal(first, other):
        problem = "Two seeds give one result. Draw the places from the generator."
    elif len(set(places)) == 1:
        problem = f"All clips are silent from {places[0]} on. Draw one place for each clip."
    elif max(places) < GAP or min(places) > SAMPLES - 2 * GAP:
        problem = f"The gaps begin at {places}; every place with room for a gap is as likely."
    if problem:
        raise NotYet(f"Not yet. {problem}")
    return f"your gaps begin at {places} of {SAMPLES}, and with this seed they always do."


def _changed(augmentation: Callable, clips: torch.Tensor, seed: int) -> torch.Tensor:
    """What the augmentation makes of the clips, with p = 1; `NotYet` if that is no such batch."""
    import torch

    given, shape = clips.clone(), tuple(clips.shape)
    # Not by calling the augmentation: it would hand over a copy, and hide that x is changed.
    found, error = called(augmentation.apply, given, torch.Generator().manual_seed(seed))
    problem = ""
    if error:
        problem = told_error(error)
    elif not isinstance(found, torch.Tensor):
        problem = f"`apply` returned {kind(found)}, expected a tensor."
        problem += " Is there a `return` in front of the result?" if found is None else ""
    elif found.shape != shape:
        problem = f"found shape {tuple(found.shape)}, expected that of x."
    elif not torch.equal(given, clips):
        problem = (
            "`apply` changes x itself. Begin with `x = x.clone()`, or let `x.masked_fill` or "
            "`torch.where` make a new tensor."
        )
    if problem:
        raise NotYet(f"Not yet. With x of shape {shape}, {problem}")
    return found


def _gap(clip: torch.Tensor, before: torch.Tensor, number: int) -> int:
    """Where the clip's gap begins; `NotYet` if it has not just one, of a quarter."""
    silent = (clip == 0).nonzero().ravel().tolist()
    problem = ""
    if not silent:
        unchanged = clip.equal(before)
        problem = "it is unchanged." if unchanged else "it has no gap. Are its numbers set to 0?"
    elif len(silent) == SAMPLES:
        problem = "all of it is silent. A clip is a row of x, its samples go along axis 1."
    elif silent[-1] - silent[0] + 1 != len(silent):
        problem = f"{len(silent)} of its numbers are 0, but not one after the other."
    elif abs(len(silent) - GAP) > 1:
        problem = f"its gap has {len(silent)} of {SAMPLES} numbers, expected {GAP}, a quarter."
        if silent[-1] == SAMPLES - 1 and len(silent) < GAP:
            problem += " It runs out at the end: begin a quarter before it at the latest."
    elif not clip[clip != 0].equal(before[clip != 0]):
        problem = "it is changed outside its gap, too."
    if problem:
        raise NotYet(f"Not yet. Of {CLIPS} clips, look at number {number}: {problem}")
    return silent[0]
