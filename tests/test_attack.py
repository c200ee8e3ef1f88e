"""The evaluator against everything that a similarities.json may hold, and against a slow twin.

The twin below enumerates every order of tied items and averages; it shares no line with the kit.
"""

import itertools
import json
import math
import subprocess
import sys
from fractions import Fraction
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qvim_kit import metrics
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import compare, evaluate, intervals, template_numbers
from qvim_kit.evaluation.alignment import SimilarityError, align

QUICK = settings(max_examples=80, deadline=None, derandomize=True, database=None)
AWKWARD = [0.0, -0.0, 1e308, -1e308, 1.7976931348623157e308, 5e-324, -5e-324, 1e-300, 2**53]
NUMBERS = st.one_of(
    st.integers(-2, 2),  # so that many tie
    st.sampled_from(AWKWARD),
    st.floats(allow_nan=False, allow_infinity=False),
)
NUMPY = st.sampled_from([np.float32(0.5), np.float64(-3), np.int64(7), np.float16(2), np.uint8(1)])
BAD_TOKENS = ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "null", "true", "false"]
BAD_TOKENS += ['"0.5"', '""', "[]", "[1.0]", "{}", '{"score": 1}', '{"a": {"b": [[]]}}']
BAD_OBJECTS = [None, True, np.bool_(False), "0.5", b"1", 1j, [], {}, (1,), np.ones(1), object()]
BAD_OBJECTS += [math.nan, np.float32("nan"), -math.inf, np.float64("inf"), 10**400, pd.NA]
BAD_OBJECTS += [Fraction(10**400), pd.NaT, float, np.datetime64("2025-06-01")]


@pytest.fixture(autouse=True, scope="module")
def few_resamples():
    """The intervals have tests of their own; here they only take time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "RESAMPLES", intervals.BLOCK)
        yield


def make(class_sizes, imitated):
    """A data set: so many items a class, one query for each number of an item."""
    sizes = dict(zip("ABC", class_sizes, strict=False))
    items = [(f"{c}/{n}.wav", "-", c) for c, size in sizes.items() for n in range(size)]
    picked = [items[number % len(items)] for number in imitated]
    queries = [(f"{c}/{n}_q.wav", "-", c, item) for n, (item, _, c) in enumerate(picked)]
    return RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
        "attacked",
    )


sizes = st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda s: sum(s) <= 5)
datasets = st.builds(make, sizes, st.lists(st.integers(0, 4), min_size=1, max_size=4))


@st.composite
def tables(draw, values=NUMBERS):
    """A data set and a score for each of its queries and items."""
    dataset = draw(datasets)
    queries, items = dataset.queries["query_id"], dataset.items["item_id"]
    return dataset, {q: {i: draw(values) for i in items} for q in queries}


# --- the slow twin -------------------------------------------------------------------------


def orders(row):
    """Every order of the items of one query that agrees with their scores."""
    groups = [[i for i in row if row[i] == v] for v in sorted(set(row.values()), reverse=True)]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield list(itertools.chain(*parts))


def expected(row, item, mates):
    """All metrics of one query: ``item`` is what it imitates, ``mates`` are of its class."""
    total = len(mates)
    own = [i for i in row if i in mates]
    every = list(orders(row))
    rank = fmean(order.index(item) + 1 for order in every)
    first_hit = fmean(min(order.index(mate) for mate in mates) + 1 for order in every)
    in_class = fmean(order.index(item) + 1 for order in orders({i: row[i] for i in own}))
    best = sum(1 / math.log2(place + 2) for place in range(total))
    best_reciprocal = sum(1 / (place + 1) for place in range(total))
    gains, reciprocals, precisions = [], [], []
    for order in every:
        places = sorted(order.index(mate) for mate in mates)
        gains.append(sum(1 / math.log2(place + 2) for place in places) / best)
        reciprocals.append(sum(1 / (place + 1) for place in places) / best_reciprocal)
        precisions.append(sum((n + 1) / (p + 1) for n, p in enumerate(places) if p < 10) / total)
    return {
        "MRR": 1 / rank,
        **{f"R@{k}": fmean(order.index(item) < k for order in every) for k in (1, 5, 10)},
        "class NDCG": fmean(gains),
        "class first-hit MRR": 1 / first_hit,
        "class mAP@10": fmean(precisions),
        "within-class MRR": 1 / in_class,
    }, fmean(reciprocals)


def by_query(dataset, table):
    """What each query asks for: (row of scores, imitated item, items of its class)."""
    classes = dataset.items.groupby("class")["item_id"].agg(set)
    for query in dataset.queries.to_dict("records"):
        yield table[query["query_id"]], query["item_id"], classes[query["class"]]


# --- metrics -------------------------------------------------------------------------------


@QUICK
@given(tables())
def test_every_metric_of_every_query_equals_the_slow_twin(case):
    dataset, table = case
    report = evaluate(table, dataset)
    twin = pd.DataFrame([expected(*query)[0] for query in by_query(dataset, table)])
    found = report.per_query[twin.columns]
    np.testing.assert_allclose(found, twin, rtol=1e-12)
    np.testing.assert_allclose(report.metrics["value"], twin.mean(), rtol=1e-12)
    assert (found >= 0).all(axis=None) and (found <= 1 + 1e-12).all(axis=None)


@QUICK
@given(tables())
def test_template_numbers_equal_the_slow_twin_among_imitated_items(case):
    dataset, table = case
    imitated = set(dataset.queries["item_id"])
    rows = [
        expected({i: row[i] for i in row if i in imitated}, item, mates & imitated)
        for row, item, mates in by_query(dataset, table)
    ]
    names = ("MRR", "class-wise normalised reciprocal rank", "class-wise NDCG")
    values = zip(*((r["MRR"], reciprocal, r["class NDCG"]) for r, reciprocal in rows), strict=True)
    twin = dict(zip(names, map(fmean, values), strict=True))
    assert template_numbers(table, dataset) == pytest.approx(twin, rel=1e-12)


@QUICK
@given(datasets)
def test_random_levels_are_the_mean_over_all_orders(dataset):
    items = list(dataset.items["item_id"])
    levels = []
    for _, item, mates in by_query(dataset, {q: {} for q in dataset.queries["query_id"]}):
        for order in itertools.permutations(range(len(items))):
            levels.append(expected(dict(zip(items, order, strict=True)), item, mates)[0])
    table = {q: dict.fromkeys(items, 1.0) for q in dataset.queries["query_id"]}
    report = evaluate(table, dataset)
    np.testing.assert_allclose(report.metrics["random"], pd.DataFrame(levels).mean(), rtol=1e-12)
    assert (report.metrics["value"] <= report.metrics["random"] + 1e-12).all()


@QUICK
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_is_worth_nothing(case, random):
    dataset, table = case
    rows = [(q, random.sample(list(row.items()), len(row))) for q, row in table.items()]
    shuffled = {query: dict(row) for query, row in random.sample(rows, len(rows))}
    report = evaluate(table, dataset)
    pd.testing.assert_frame_equal(evaluate(shuffled, dataset).metrics, report.metrics)
    assert compare(report, evaluate(shuffled, dataset)).p_value == 1


@QUICK
@given(tables(), st.data())
def test_a_score_that_is_not_given_ranks_below_the_lowest_there_is(case, data):
    dataset, table = case
    cells = [(query, item) for query, row in table.items() for item in row]
    gone = data.draw(st.sets(st.sampled_from(cells), max_size=len(cells) - 1))
    partial = {q: {i: v for i, v in row.items() if (q, i) not in gone} for q, row in table.items()}
    lowest = {
        q: {i: -math.inf if (q, i) in gone else v for i, v in row.items()}
        for q, row in table.items()
    }
    report = evaluate(partial, dataset, missing="worst")
    twin = pd.DataFrame([expected(*query)[0] for query in by_query(dataset, lowest)])
    np.testing.assert_allclose(report.per_query[twin.columns], twin, rtol=1e-12)
    assert report.counts["scores missing"] == len(gone)


def test_minus_infinity_is_a_rank_and_nothing_else_infinite_is():
    scores, relevant = np.array([[-np.inf, 0.0, -np.inf]]), np.array([[True, False, False]])
    assert metrics.ranks(scores, relevant).tolist() == [2.5]
    for wrong in (np.inf, np.nan):
        with pytest.raises(ValueError, match="NaN, infinite"):
            metrics.ndcg(np.array([[wrong, -np.inf, 0.0]]), relevant)


# --- reading -------------------------------------------------------------------------------


def text_of(rows):
    """JSON from pairs of names and ready-made tokens, so that any name may stand twice."""
    inner = [
        (name, "{" + ", ".join(f"{json.dumps(i)}: {token}" for i, token in row) + "}")
        for name, row in rows
    ]
    return "{" + ", ".join(f"{json.dumps(name)}: {row}" for name, row in inner) + "}"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("attack") / "similarities.json"


@settings(QUICK, max_examples=200)
@given(case=tables(), extra=st.booleans(), data=st.data())
def test_whatever_is_wrong_in_a_file_is_named_and_nothing_else_is(path, case, extra, data):
    dataset, table = case
    cells = st.sampled_from([(query, item) for query, row in table.items() for item in row])
    bad = data.draw(st.dictionaries(cells, st.sampled_from(BAD_TOKENS), max_size=4))
    absent = data.draw(st.sets(st.sampled_from(list(table)), max_size=2))
    gone = {(q, i) for q in absent for i in table[q]} | data.draw(st.sets(cells, max_size=4))
    rows = [
        (q, [(i, bad.get((q, i), json.dumps(v))) for i, v in row.items() if (q, i) not in gone])
        for q, row in table.items()
        if q not in absent
    ]
    if extra:
        rows = [(q, [*row, ("else.wav", "NaN")]) for q, row in rows]
        rows.append(("other", [(i, "0.5") for i in dataset.items["item_id"]]))
    path.write_text(text_of(rows))
    wrong = gone | set(bad)
    if not wrong:
        aligned = align(path, dataset)
        assert aligned.scores.tolist() == [list(map(float, row.values())) for row in table.values()]
        assert aligned.ignored == (2 if extra else 0)
        return
    with pytest.raises(SimilarityError) as caught:
        align(path, dataset)
    problems = caught.value.problems
    if any(problem.startswith("none of the") for problem in problems):
        assert extra and len(absent) == len(table)
        return
    for query, item in wrong:
        assert (
            any(" queries missing: " in p and query in p for p in problems)
            or any(" items missing: " in p and item in p for p in problems)
            or any(p.startswith(f"query {query}:") and (item in p or "…" in p) for p in problems)
        ), (query, item, problems)
    fine = set(table) - {query for query, _ in wrong}
    assert not [p for q in fine for p in problems if p.startswith(f"query {q}:")]


@QUICK
@given(case=tables(st.one_of(NUMBERS, NUMPY)), bad=st.sampled_from(BAD_OBJECTS), data=st.data())
def test_no_object_in_memory_passes_for_a_number(case, bad, data):
    dataset, table = case
    aligned = align(table, dataset)
    assert aligned.scores.tolist() == [list(map(float, row.values())) for row in table.values()]
    query = data.draw(st.sampled_from(list(table)))
    item = data.draw(st.sampled_from(list(table[query])))
    table[query][item] = bad
    frame = pd.DataFrame(table.values(), table.keys(), dtype=object)
    for form in (table, frame):
        with pytest.raises(SimilarityError) as caught:
            align(form, dataset)
        (problem,) = caught.value.problems
        assert problem.startswith(f"query {query}: 1 score is ") and item in problem


@QUICK
@given(tables())
def test_transposed_tables_are_never_scored(case):
    dataset, table = case
    flipped = {i: {q: row[i] for q, row in table.items()} for i in dataset.items["item_id"]}
    with pytest.raises(SimilarityError, match="looks transposed"):
        align(flipped, dataset)


@QUICK
@given(case=tables(), data=st.data())
def test_a_name_that_stands_twice_is_never_one_of_them(path, case, data):
    dataset, table = case
    rows = [(q, [(i, json.dumps(v)) for i, v in row.items()]) for q, row in table.items()]
    number = data.draw(st.integers(0, len(rows) - 1))
    query, row = rows[number]
    if data.draw(st.booleans()):
        rows.append((query, row))
        name = query
    else:
        name = data.draw(st.sampled_from(row))[0]
        rows[number] = (query, [*row, (name, "0.25")])
    path.write_text(text_of(rows))
    with pytest.raises(SimilarityError) as caught:
        align(path, dataset)
    assert caught.value.problems == [f"{name} stands twice in one table"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@QUICK
@given(junk=JUNK)
def test_junk_is_refused_and_never_a_traceback_of_another_kind(path, junk):
    path.write_text(json.dumps(junk))
    with pytest.raises(SimilarityError):
        align(path, make([2, 1], [0, 2]))


@QUICK
@given(content=st.binary(max_size=40) | st.text(max_size=40).map(lambda t: t.encode("utf-16")))
def test_bytes_that_are_no_json_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(SimilarityError):
        align(path, make([1], [0]))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "1" * 5_000, '{"A/0_q.wav": {"A/0.wav": 0.5}', "\ufeff{}"],
    ids=["lists", "tables", "digits", "cut off", "byte order mark"],
)
def test_files_that_break_parsers(path, text):
    path.write_text(text, "utf-8")
    with pytest.raises(SimilarityError, match="cannot be read as JSON"):
        align(path, make([1], [0]))


def test_one_query_and_one_item():
    report = evaluate({"0_q.wav": {"0.wav": -0.0}}, make([1], [0]))
    assert (report.metrics == 1).all(axis=None) and report.counts["queries tied"] == 0


# --- size ----------------------------------------------------------------------------------

LARGE = """
import resource, sys
import numpy as np, pandas as pd
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import evaluate, intervals

intervals.RESAMPLES = intervals.BLOCK  # they need no more memory, only time
queries, items, classes = 10_000, 5_000, 50
number = np.arange(queries) % items
scores = np.random.default_rng(0).standard_normal((queries, items))
scores[np.arange(queries), number] += 3
dataset = RetrievalDataset(
    pd.DataFrame([(f"{n % classes}/{n}.wav", "-", str(n % classes)) for n in range(items)],
                 columns=["item_id", "path", "class"]),
    pd.DataFrame([(f"{n % classes}/q{q}.wav", "-", str(n % classes), f"{n % classes}/{n}.wav")
                  for q, n in enumerate(number)],
                 columns=["query_id", "path", "class", "item_id"]),
)
table = pd.DataFrame(scores, dataset.queries["query_id"], dataset.items["item_id"])
report = evaluate(table, dataset)
exact = scores[np.arange(queries), number][:, None]
mrr = sum((1 / (1 + (scores[n] > exact[n]).sum()) for n in range(queries))) / queries
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(report.mrr - mrr, peak * (1 if sys.platform == "darwin" else 1024))
"""


def test_ten_thousand_queries_and_five_thousand_items_in_bounded_memory():
    """The table alone takes 0.4 GB; one float64 copy of it and the imports may come on top."""
    pytest.importorskip("resource", reason="this system does not tell a process's peak memory")
    printed = subprocess.check_output([sys.executable, "-c", LARGE], text=True).split()
    assert float(printed[0]) == pytest.approx(0, abs=1e-12)
    assert int(printed[1]) < 1.8e9
