"""Every claim about speed, measured here: `make bench`.

    python benchmarks/all.py [-o runs/bench] [--rounds 5] [--threads 2]

Runs each script by itself, one after another, and writes one table and its plots into the folder.
Do nothing else on the machine meanwhile: it takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from side_by_side import Row, markdown

HERE = Path(__file__).parent
TABLES = (
    "submission",
    "encoder",
    "features",
    "decoding",
    "metrics",
    "search",
    "training",
    "imports",
)
CURVES = ("memory", "scaling")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    threads, rows, notes = ["--threads", str(options.threads)], [], []
    for name in TABLES:
        found = options.output / f"{name}.json"
        run(name, *threads, "--rounds", str(options.rounds), "--json", str(found))
        measured = json.loads(found.read_text())
        rows += [Row(**row) for row in measured["rows"]]
        notes += [f"{name}: {note}" for note in measured["notes"]]
    for name in CURVES:
        run(name, *threads, "-o", str(options.output / f"{name}.png"))
    table = options.output / "table.md"
    table.write_text(markdown(rows) + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n")
    draw(rows, options.output / "ratios.png")
    print(f"\n{markdown(rows)}\n\nwritten to {options.output}")


def run(name: str, *arguments: str) -> None:
    print(f"\n== {name} ==", flush=True)
    subprocess.run([sys.executable, HERE / f"{name}.py", *arguments], check=True)


def draw(rows: list[Row], path: Path) -> None:
    """A bar a comparison, with its range and its aim."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.4 * len(rows) + 1), layout="constrained")
    places = range(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        axes.plot([row.lowest, row.highest], [place, place], color="#0072b2", linewidth=3)
        axes.plot(row.median, place, "o", color="#0072b2")
        if row.aim is not None:
            axes.plot(row.aim, place, "|", color="#d55e00", markersize=14, markeredgewidth=2)
    axes.set_yticks(list(places), [f"{row.what}\n{row.beside}" for row in rows], fontsize=7)
    axes.axvline(1, color="grey", linewidth=0.5)
    axes.set(xscale="log", xlabel="ratio of times: dot median, line range, bar aim")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
