"""`check` as a student meets it: solutions are right, and each mistake has a helpful answer."""

import itertools
import re
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F
from typical_mistakes import GAPS, MISTAKES, SUBMISSIONS

from qvim_kit import augment
from qvim_kit.exercises import EXERCISES, NotYet, check
from qvim_kit.exercises.running import as_array


def answer_to(name, function):
    with pytest.raises(NotYet) as raised:
        check(name, function)
    return str(raised.value)


# Right answers, in other words than the notebooks'.


def loop_mrr(scores, right):
    return sum(
        1 / (1 + list(np.argsort(-row)).index(r)) for row, r in zip(scores, right, strict=True)
    ) / len(right)


def tensor_mrr(scores, right):
    order = torch.from_numpy(scores).argsort(dim=1, descending=True)
    places = (order == torch.from_numpy(right)[:, None]).nonzero()[:, 1]
    return (1 / (places + 1.0)).mean()


def loop_nt_xent(queries, items, labels, temperature):
    total = 0
    for i in range(len(queries)):
        cosines = F.cosine_similarity(queries[i], items) / temperature
        keep = [j for j in range(len(items)) if i == j or labels[i] != labels[j]]
        total = total - cosines[i] + torch.logsumexp(cosines[keep], 0)
    return total / len(queries)


def set_leak(train, test):
    known = set(train["item_id"])
    return [item in known for item in test["item_id"]].count(True) / len(test)


def loop_precision(right, k=10):
    hits = total = 0
    for place, hit in enumerate(right[:k], 1):
        hits += hit
        total += hits / place if hit else 0
    return total / sum(right)


def pandas_fusion(voice, words, weight):
    def standard(x):
        x = pd.DataFrame(x).T
        return ((x - x.mean()) / x.std(ddof=0)).fillna(0).T

    return weight * standard(voice) + (1 - weight) * standard(words)


def list_rocchio(query, right, wrong, alpha, beta, gamma):
    new = [alpha * x for x in query]
    for marks, weight in ((right, beta), (wrong, -gamma)):
        for row in marks:
            new = [n + weight * x / len(marks) for n, x in zip(new, row, strict=True)]
    return [n / sum(x * x for x in new) ** 0.5 for n in new]


def torch_two_dft(picture):
    return torch.fft.fftshift(torch.fft.fft2(torch.from_numpy(picture))).abs().flatten()


@dataclass(frozen=True)
class LoopGap(augment.Augmentation):
    p: float = 0.5

    def apply(self, x, generator):
        x = x.clone()
        for row in x:
            start = int(torch.rand(1, generator=generator) * (len(row) * 3 / 4 + 1))
            row[start : start + len(row) // 4] = 0
        return x


def thorough(notebook):
    notebook["cells"][3]["source"] = "x"
    notebook["cells"][7]["source"] = "%cd /tmp\n!ls"
    return notebook


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("mrr", loop_mrr),
        ("mrr", tensor_mrr),
        ("nt_xent", loop_nt_xent),
        ("leak", set_leak),
        ("average_precision", loop_precision),
        ("fusion", pandas_fusion),
        ("rocchio", list_rocchio),
        ("two_dft", torch_two_dft),
        ("gap", LoopGap),
        ("gap", LoopGap(p=0.2)),
        ("broken_submission", thorough),
    ],
)
def test_right_answers_of_any_kind_are_right(name, function, capsys):
    assert check(name, function) is None
    assert capsys.readouterr().out.startswith("Right: ")


@pytest.mark.parametrize(
    ("name", "function", "words"),
    [(name, *mistake) for name, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_each_mistake_has_an_answer(name, function, words):
    answer = answer_to(name, function)
    assert answer.startswith("Not yet. ") and re.search(words, answer, re.DOTALL), answer
    assert len(answer.splitlines()) < 20 and max(map(len, answer.splitlines())) < 250, answer


def gap_of(apply):
    return type("Gap", (LoopGap,), {"apply": apply})


@pytest.mark.parametrize(("apply", "words"), GAPS)
def test_mistakes_with_the_gap(apply, words):
    answer = answer_to("gap", gap_of(apply))
    assert answer.startswith("Not yet. ") and re.search(words, answer), answer


@pytest.mark.parametrize(("function", "words"), SUBMISSIONS)
def test_submissions_that_are_not_broken_well(function, words):
    answer = answer_to("broken_submission", function)
    assert answer.startswith("Not yet. ") and re.search(words, answer), answer


# Whatever a student writes.


def never(*arguments):
    raise SystemExit("bye")


def recursive(*arguments):
    return recursive(*arguments)


def changes(scores, right):
    scores.sort(axis=1)
    return 0.5


ODD = [
    lambda *x: None,
    lambda *x: ...,
    lambda *x: "0.5",
    lambda *x: {"a": 1},
    lambda *x: [[1, 2], [3]],
    lambda *x: (i for i in range(3)),
    lambda *x: np.mean,
    lambda *x: object(),
    lambda *x: np.array([]),
    lambda *x: np.nan,
    lambda *x: [None, 1],
    lambda *x: torch.tensor(1.0, dtype=torch.bfloat16),
    lambda *x: pd.DataFrame({"a": ["b"]}),
    lambda *x: np.zeros((3, 0, 2)),
    lambda *x: 10**400,
    lambda *x: True,
    lambda *x: 1 / 0,
    lambda *x: x[99],
    lambda *x: [][x[0]],
    never,
    recursive,
    print,
    np.sort,
    type,
    dict,
    torch.nn.Linear,
    3.0,
    None,
    "mrr",
    [],
]


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("function", ODD, ids=lambda function: getattr(function, "__name__", "odd"))
def test_whatever_is_written_is_answered_in_words(name, function):
    answer = answer_to(name, function)
    assert answer.startswith("Not yet. ") and len(answer) < 3_000
    assert "qvim_kit" not in answer or "RULES" in answer, answer


@pytest.mark.parametrize("name", EXERCISES)
def test_what_is_not_written_yet_is_told_as_such(name):
    def open_turn(*arguments):
        raise NotImplementedError("your turn")

    function = gap_of(open_turn) if name == "gap" else open_turn
    assert answer_to(name, function).startswith("Your turn: ")


def test_an_exception_comes_with_the_students_line():
    def mine(scores, right):
        wanted = scores[:, right]
        return wanted[99]

    answer = answer_to("mrr", mine)
    assert re.search(r"an IndexError in line \d+:\n    return wanted\[99\]\n  index 99", answer)

    def inside_numpy(scores, right):
        return np.concatenate([scores, right])

    assert "return np.concatenate([scores, right])" in answer_to("mrr", inside_numpy)


def test_changed_arguments_are_named_and_other_calls_get_fresh_ones():
    assert "it changes its argument scores; work on a copy" in answer_to("mrr", changes)

    def first(train, test):
        train["new"] = 1
        return 0.0

    assert "changes its argument train" in answer_to("leak", first)


def test_a_wrong_number_of_arguments_names_the_expected():
    def mine(scores):
        return 1

    answer = answer_to("mrr", mine)
    assert "mine(scores) does not take" in answer and "expected mine(scores, right)" in answer


def test_brackets_too_many():
    answer = answer_to("mrr", 0.5)
    assert "Found a float, expected the function itself" in answer


def test_wrong_names_list_all():
    with pytest.raises(ValueError, match=f"found 'mmr', expected one of {', '.join(EXERCISES)}$"):
        check("mmr", loop_mrr)
    with pytest.raises(ValueError, match="the name comes first, then the function"):
        check(loop_mrr, "mrr")


def test_large_differences_are_counted_and_the_first_is_shown():
    def mine(voice, words, weight):
        fine = pandas_fusion(voice, words, weight).to_numpy().copy()
        if voice.size > 20:
            fine[2, 5] += 1
        return fine

    answer = answer_to("fusion", mine)
    assert "voice: numbers of shape (10, 12)" in answer
    assert "1 of 120 numbers differ, the first at [2, 5]: found" in answer


def test_a_notebook_shows_the_words_alone():
    try:
        check("mrr", lambda scores, right: 1.0)
    except NotYet as error:
        assert error._render_traceback_() == str(error).splitlines()
        assert error.__suppress_context__


def test_a_cell_that_python_did_not_understand_is_told_and_not_the_function_before(tmp_path):
    """In a process of its own, as a shell stays with the process."""
    mended = "def mrr(scores, right):\n    return 1.0"
    (tmp_path / "mine.py").write_text(mended)
    broken = [
        "def mrr(scores, right):\n    return (1",
        "dfe mrr(scores, right):\n    return 1.0",
        "%%time\ndef mrr(scores, right:\n    return 1.0",
    ]
    again = [
        f"!true\n{mended}",
        f"%%time\n{mended}",
        "if True:\n    def mrr(scores, right):\n        return 1.0",
    ]
    imported = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom mine import mrr"
    pairs = [(wrong, right) for wrong in broken for right in again] + [(broken[0], imported)]
    cells = [
        "from qvim_kit.exercises import check",
        "def mrr(scores, right):\n    raise NotImplementedError",
        *(one for cell in itertools.chain(*pairs) for one in (cell, "check('mrr', mrr)")),
    ]
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell\n"
        f"for cell in {cells}: Shell.instance().run_cell(cell, store_history=True)"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    told = re.findall(r"The cell with mrr has a SyntaxError in its line (\d)", out)
    assert told == ["2"] * 3 + ["1"] * 3 + ["2"] * 4
    assert "not written yet" not in out and out.count("found 1, expected 0.75") == 10


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (torch.ones(2, requires_grad=True), (2,)),
        ([torch.ones(()), 2.0], (2,)),
        ([np.float32(1), 2], (2,)),
        (pd.Series([1, 2]), (2,)),
        ([[True], [False]], (2, 1)),
        (np.float64(3), ()),
    ],
)
def test_numbers_of_any_kind_are_understood(value, shape):
    array, problem = as_array(value)
    assert array.shape == shape and problem == ""
