"""The README's table: what ready systems are worth on the mini data set.

    python benchmarks/mini.py [--plot docs/results.png]

Prints MRR and class NDCG with 95 % intervals. mn04_as is fetched on first use.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qvim_kit.datasets import load_mini
from qvim_kit.evaluation import compare, evaluate
from qvim_kit.plots import plot_intervals
from qvim_kit.systems import EncoderSystem, Random, TwoDFT, score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="write the intervals as a picture, too")
    options = parser.parse_args()
    dataset = load_mini()
    names = ("mn04_as", "qvim-mn04")
    systems = [Random(), TwoDFT(), *(EncoderSystem.from_pretrained(name) for name in names)]
    reports = [evaluate(score(one, dataset), dataset, system=one.name) for one in systems]
    print("| system | MRR | 95 % interval | class NDCG |\n|---|---|---|---|")
    for report in reports:
        mrr, ndcg = report.metrics.loc["MRR"], report.metrics.loc["class NDCG"]
        interval = f"{mrr['low']:.3f} – {mrr['high']:.3f}"
        print(f"| {report.system} | {mrr['value']:.3f} | {interval} | {ndcg['value']:.3f} |")
    print(f"\nrandom, exact: {reports[0].metrics.loc['MRR', 'random']:.3f}")
    for other in (reports[2], reports[1]):
        print(f"\n{compare(reports[3], other)}")
    if options.plot:
        plot_intervals(reports[1:]).savefig(options.plot, dpi=100)


if __name__ == "__main__":
    main()
