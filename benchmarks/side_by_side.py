"""What the benchmarks share: two ways to do one thing, timed in turn, and a table of their ratios.

Every script takes the same options, prints one table, and beside it what the machine can do at
most: a ratio is worth as much as the machine was idle, so look at its lowest and highest value.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Seconds of ``beside`` over seconds of the kit; ``aim`` is the least ratio hoped for.

    Of a cost, where the kit does what ``beside`` does and more, ``aim`` is the highest seconds of
    the kit over seconds of ``beside``, and so is the ratio.
    """

    what: str
    beside: str
    median: float
    lowest: float
    highest: float
    aim: float | None
    cost: bool
    kit_s: float

    @property
    def met(self) -> bool | None:
        if self.aim is None:
            return None
        return self.median <= self.aim if self.cost else self.median >= self.aim


def arguments(doc: str, **defaults: int) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have; ``doc`` is the script's docstring."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=defaults.get("rounds", 5))
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path, help="where to write the table as well")
    return parser


def seconds(work: Work, before: Work | None = None) -> float:
    """The quickest of up to fifteen runs that together take about a fifth of a second.

    What takes a millisecond cannot be timed once: another program may have had the processor.
    """
    found, end = [], time.perf_counter() + 0.2
    while not found or (len(found) < 15 and time.perf_counter() < end):
        if before is not None:
            before()
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


class Table:
    """Rows of comparisons, with threads fixed for all of them."""

    def __init__(self, options: argparse.Namespace):
        import torch
        from threadpoolctl import threadpool_limits

        threadpool_limits(options.threads)
        torch.set_num_threads(options.threads)
        self.options, self.rows, self.notes = options, [], []

    def compare(
        self,
        what: str,
        slow: Work,
        fast: Work,
        aim: float | None = None,
        beside: str = "",
        *,
        cost: bool = False,
        before: Work | None = None,
    ) -> Row:
        """Time both in turn, after one round to warm up, and print the row.

        Args:
            slow, fast: what the kit is compared with, and the kit.
            cost: the row shows seconds of the kit over seconds of ``slow``, to be small.
            before: run before each timing, outside of it.
        """
        slow(), fast()
        pairs = [(seconds(slow, before), seconds(fast, before)) for _ in range(self.options.rounds)]
        found = sorted(b / a if cost else a / b for a, b in pairs)
        kit = float(np.median([b for _, b in pairs]))
        row = Row(what, beside, float(np.median(found)), found[0], found[-1], aim, cost, kit)
        self.rows.append(row)
        print(f"{what}: {row.median:.2f} ({row.lowest:.2f} – {row.highest:.2f})", flush=True)
        return row

    def note(self, text: str) -> None:
        """A line below the table."""
        self.notes.append(text)
        print(text, flush=True)

    def finish(self) -> None:
        """Print the table and what the machine can do; write both where ``--json`` says."""
        self.notes.append(ceilings(self.options.threads))
        print("\n" + markdown(self.rows) + "\n\n" + "\n".join(self.notes))
        if self.options.json:
            found = {"rows": [asdict(row) for row in self.rows], "notes": self.notes}
            self.options.json.write_text(json.dumps(found, indent=1))


def markdown(rows: list[Row]) -> str:
    """The table: ratio of the medians' rounds, their range, the aim and whether it is met."""
    lines = ["| what | beside | ratio | lowest – highest | aim | the kit takes |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        aim = "" if row.aim is None else f"{'≤' if row.cost else '≥'} {row.aim:.3g}"
        aim += {True: " ✓", False: " ✗", None: ""}[row.met]
        spread = f"{row.lowest:.2f} – {row.highest:.2f}"
        cells = (row.what, row.beside, f"{row.median:.2f}", spread, aim, duration(row.kit_s))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def duration(time_s: float) -> str:
    """1.5 s, 20 ms, 3 µs."""
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if time_s * scale >= 1 or unit == "µs":
            return f"{time_s * scale:.3g} {unit}"
    raise AssertionError


def ceilings(threads: int) -> str:
    """What this machine does at most: products of float32 matrices, and reading memory."""
    import torch

    size, big = 1024, torch.zeros(64 << 20)  # 256 MB, more than caches hold
    one = torch.randn(size, size)
    product = seconds(lambda: one @ one)
    reading = seconds(big.sum)
    return (
        f"This machine, {threads} threads: {2e-9 * size**3 / product:.0f} GFLOP/s in a product of "
        f"float32 matrices, {4e-9 * big.numel() / reading:.0f} GB/s read from memory."
    )
