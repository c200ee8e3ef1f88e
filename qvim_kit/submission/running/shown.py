"""The score that a notebook shows in its saved outputs, to compare with what was measured."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qvim_kit.evaluation.report import REPORT_MIME

if TYPE_CHECKING:
    from nbformat import NotebookNode

# "MRR: 0.1262", but not a line about classes or chance; six digits are more than anyone prints.
LINE = re.compile(r"\bMRR\b[^0-9\n]{0,30}?([01]?\.\d{1,17})")
OTHER = re.compile(r"class|random|chance|normali", re.IGNORECASE)


def shown_numbers(notebook: NotebookNode | None) -> dict:
    """What a notebook's outputs say about its score; {} if they say nothing.

    Keys, as far as there are: ``MRR`` and ``fingerprint`` of the last report of the kit, and
    ``template MRR``, the text of the number in the last printed line about the MRR.
    """
    found: dict = {}
    for cell in notebook.cells if notebook else ():
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if REPORT_MIME in data:
                report = data[REPORT_MIME]
                try:
                    found["MRR"] = float(report["metrics"]["MRR"]["value"])
                    found["fingerprint"] = str(report["fingerprint"])
                except (KeyError, TypeError, ValueError):
                    continue
            else:
                text = output.get("text", data.get("text/plain", ""))
                if numbers := _printed(text):
                    found["template MRR"] = numbers[0]
    return found


def _printed(text: str | list[str]) -> list[str]:
    text = text if isinstance(text, str) else "".join(text)
    lines = [line for line in text.splitlines() if not OTHER.search(line)]
    return [found.group(1) for line in lines if (found := LINE.search(line))]


def agreement(shown: dict, mrr: float, template_mrr: float, fingerprint: str) -> dict:
    """Compare what `shown_numbers` found with what was measured.

    Returns ``value`` (the number shown), ``measured`` (the one that it should be) and ``agrees``:
    True, False, or None where the notebook shows no number or one for other data. A printed number
    agrees if the measured one rounds to it.
    """
    if "MRR" in shown:
        same = shown["fingerprint"] == fingerprint
        agrees = bool(abs(shown["MRR"] - mrr) < 1e-6) if same else None
        return {"value": shown["MRR"], "measured": float(mrr), "agrees": agrees}
    if "template MRR" in shown:
        text = shown["template MRR"]
        half = 0.5 * 10.0 ** -len(text.partition(".")[2])
        agrees = bool(abs(float(text) - template_mrr) <= half + 1e-9)
        return {"value": float(text), "measured": float(template_mrr), "agrees": agrees}
    return {"value": None, "measured": None, "agrees": None}
