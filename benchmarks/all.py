"""Every claim about speed, measured here: `make bench`.

    python benchmarks/all.py [-o runs/bench] [--sounds FOLDER] [--rounds 5] [--threads 2]

Runs each script by itself, one after another, and writes speed.md and its plots into the folder.
Do nothing else on the machine meanwhile: it takes about ten minutes. With ``--sounds``, what reads
files is measured with 200 real ones of that folder, too.
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
READING = ("submission", "decoding")  # sounds of one's own
CURVES = ("memory", "scaling")
PLOTS = {
    "ratios": "The table as a plot: each ratio with its range, and its aim where it has one",
    "scaling": "Milliseconds of a search by the number of sounds, and of an embedding by length",
    "memory": "Memory in use by the number of files embedded so far",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench"))
    parser.add_argument("--sounds", type=Path, help="a folder with 200 sounds or more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    threads, rows, notes = ["--threads", str(options.threads)], [], []
    for name in TABLES:
        found = options.output / f"{name}.json"
        own = ["--sounds", str(options.sounds)] if options.sounds and name in READING else []
        run(name, *threads, *own, "--rounds", str(options.rounds), "--json", str(found))
        measured = json.loads(found.read_text())
        rows += [Row(**row) for row in measured["rows"]]
        notes += [f"{name}: {note}" for note in measured["notes"]]
    for name in CURVES:
        run(name, *threads, "-o", str(options.output / f"{name}.png"))
    draw(rows, options.output / "ratios.png")
    (options.output / "speed.md").write_text(page(rows, notes))
    print(f"\n{markdown(rows)}\n\nwritten to {options.output}")


def page(rows: list[Row], notes: list[str]) -> str:
    """All that was measured, to be read beside the plots."""
    plots = "\n\n".join(f"![{text}]({name}.png)" for name, text in PLOTS.items())
    listing = "\n".join(f"- {note}" for note in notes)
    return (
        "# Speed, measured\n\nWritten by `make bench`. A ratio is the time of what stands beside "
        "over the kit's, several rounds in turn in one process; where the aim is ≤, it is the "
        f"kit's time over the other.\n\n{markdown(rows)}\n\n{listing}\n\n{plots}\n"
    )


def run(name: str, *arguments: str) -> None:
    print(f"\n== {name} ==", flush=True)
    subprocess.run([sys.executable, HERE / f"{name}.py", *arguments], check=True)


def draw(rows: list[Row], path: Path) -> None:
    """A line a comparison: its median and range, and an arrow from its aim to where it is met."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.4 * len(rows) + 1), layout="constrained")
    places = range(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        axes.plot([row.lowest, row.highest], [place, place], color="#0072b2", linewidth=3)
        axes.plot(row.median, place, "o", color="#0072b2")
        if row.aim is not None:
            arrow = 8 if row.cost else 9  # a caret to the left, to the right, from its base on
            axes.plot(row.aim, place, marker=arrow, color="#d55e00", markersize=9)
    axes.set_yticks(list(places), [f"{row.what}\n{row.beside}" for row in rows], fontsize=7)
    axes.axvline(1, color="grey", linewidth=0.5)
    axes.set(xscale="log", ylim=(-1, len(rows)), xlabel="ratio of times; orange: aim, and its side")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
