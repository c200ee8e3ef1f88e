"""What the notebooks ask readers to type can be typed, and what they measure is fair."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from submissions.building import filled, write

from qvim_kit.audio import load_audio
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation.alignment import SimilarityError
from qvim_kit.search.feedback import FeedbackLog
from qvim_kit.submission import write_similarities
from qvim_kit.submission.checking import check

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def cell_with(name: str, words: str) -> str:
    """The one cell of a notebook that holds these words."""
    (path,) = NOTEBOOKS.glob(f"{name}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (text,) = [text for cell in cells if words in (text := "".join(cell["source"]))]
    return text


def exercise(name: str, number: int) -> tuple[str, list[str]]:
    """An exercise at the end of a notebook: its text, and the code in it."""
    exercises = cell_with(name, "## Exercises").split("## Exercises")[1]
    (line,) = re.findall(rf"^{number}\. (.*)$", exercises, re.MULTILINE)
    return line, re.findall("`([^`]+)`", line)


def test_a_model_of_04_is_handed_in_with_the_three_cells_it_shows(tmp_path):
    (code,) = re.findall("```python\n(.*?)```", cell_with("04", "To submit it"), re.DOTALL)
    _, set_up, implementation, instance = re.split("# (?:set-up|implementation|instance)\n", code)
    parts = {"set_up": set_up, "implementation": implementation, "instance": instance}
    assert list(check(write(filled(**parts), tmp_path))) == []


def test_the_loudness_of_silence_is_a_number():
    _, (formula, *_) = exercise("05", 1)
    loudness = eval(formula, {"np": np, "power": np.array([0.0, 0.01])})
    assert loudness == pytest.approx([-100, -20])


def test_the_exercise_with_missing_scores_ends_in_a_message_of_both(
    dataset, similarities, tmp_path
):
    text, (remove, again) = exercise("05", 3)
    names = {"similarities": similarities, "dataset": dataset, "ROOT_PATH": tmp_path}
    assert text.startswith("Insert a cell after the one that writes")
    exec(remove, names)
    next(iter(similarities.values()))[dataset.items["item_id"][0]] = np.nan
    with pytest.raises(SimilarityError, match=r"(?s)2 problem.* missing: .* is NaN"):
        exec(again, {**names, "write_similarities": write_similarities})


@pytest.fixture
def listening(tmp_path, rng):
    """What the listener of 06 needs: three searches for a dog, each with two systems' results."""
    paths = [tmp_path / f"{n}.wav" for n in range(3)]
    for path in paths:
        soundfile.write(path, 0.1 * rng.normal(size=4_000), 8_000)
    results = {
        "one": [["dog a", "cat"], ["cat", "dog b"], ["cat", "bird"]],
        "two": [["dog b", "cat"], ["dog a", "cat"], ["bird", "cat"]],
    }
    kinds = {"dog a": "Dog", "dog b": "Dog", "cat": "Cat", "bird": "Bird"}

    def first_right(names, wanted):
        return next(((n, name) for n, name in enumerate(names) if kinds[name] == wanted), None)

    return {
        "np": np,
        "load_audio": load_audio,
        "chosen": pd.DataFrame({"path": paths, "class": "Dog"}),
        "results": results,
        "first_right": first_right,
        "log": FeedbackLog(tmp_path / "feedback.jsonl"),
    }


def test_the_listener_gives_each_system_its_own_right_sound(listening):
    exec(cell_with("06", "for number, query in enumerate(chosen"), listening)
    numbers = listening["log"].numbers()
    assert numbers.systems["MRR"].to_dict() == pytest.approx({"one": 1.5 / 3, "two": 2 / 3})
    (pair,) = numbers.pairs.to_dict("records")
    assert (pair["a wins"], pair["ties"], pair["b wins"]) == (0, 2, 1)
    assert numbers.counts["judgements"] == 5 and numbers.counts["without a right sound"] == 1


def test_the_first_caption_of_each_effect_makes_a_data_set(dataset):
    _, code = exercise("07", 3)
    queries = dataset.queries.assign(
        query_id=[f"{item}#{1 + n % 2}" for n, item in enumerate(dataset.queries["item_id"])]
    )
    names = {"train": RetrievalDataset(dataset.items, queries, "captions")}
    for line in code:
        exec(line, names)
    assert list(names["few"].queries["item_id"]) == list(dataset.items["item_id"])
