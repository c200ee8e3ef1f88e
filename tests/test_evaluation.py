import json

import numpy as np
import pandas as pd
import pytest

from qvim_kit import metrics
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation import compare, evaluate, relevance, template_numbers
from qvim_kit.evaluation.alignment import SimilarityError
from qvim_kit.systems import Random, score

NAMES = [
    "MRR", "R@1", "R@5", "R@10", "class NDCG", "class first-hit MRR", "class mAP@10",
    "within-class MRR",
]  # fmt: skip


@pytest.fixture
def golden_case(golden):
    """The published similarity table as data set (with items nobody imitates) and dict."""
    table = json.loads((golden / "metrics_dev.json").read_text())
    items = [(item, item, name) for item, name in table["item_class"].items()]
    queries = [
        (query, query, table["item_class"][item], item)
        for query, item in table["query_item"].items()
    ]
    dataset = RetrievalDataset(
        pd.DataFrame(items, columns=["item_id", "path", "class"]),
        pd.DataFrame(queries, columns=["query_id", "path", "class", "item_id"]),
        "golden",
    )
    return dataset, table


def test_imitated_pool_equals_the_published_numbers(golden_case):
    dataset, table = golden_case
    report = evaluate(table["similarity"], dataset, pool="imitated")
    assert report.mrr == pytest.approx(table["mrr"], abs=1e-9)
    assert report["class NDCG"] == pytest.approx(table["class_ndcg"], abs=1e-9)
    assert report["class mAP@10"] == pytest.approx(table["same_class"]["map10"], abs=1e-9)
    for k in (1, 5, 10):
        assert report[f"R@{k}"] == pytest.approx(table["exact"][f"recall@{k}"], abs=1e-9)
    assert list(template_numbers(table["similarity"], dataset).values()) == pytest.approx(
        [table["mrr"], table["class_normalized_rr"], table["class_ndcg"]], abs=1e-9
    )


def test_items_that_nobody_imitates_stay_in_the_ranking(golden_case):
    dataset, table = golden_case
    everything = evaluate(table["similarity"], dataset)
    assert everything.counts["items ranked"] == 24
    assert everything.counts["of them never imitated"] == 6
    assert everything.mrr < table["mrr"]


def test_values_against_a_naive_loop(dataset, similarities):
    report = evaluate(similarities, dataset)
    first, in_class, by_class = [], [], []
    classes = dict(zip(dataset.items["item_id"], dataset.items["class"], strict=True))
    for query in dataset.queries.to_dict("records"):
        order = sorted(similarities[query["query_id"]].items(), key=lambda pair: -pair[1])
        order = [item for item, _ in order]
        mates = [item for item in order if classes[item] == query["class"]]
        first.append(1 / (order.index(query["item_id"]) + 1))
        in_class.append(1 / (mates.index(query["item_id"]) + 1))
        by_class.append(1 / (order.index(mates[0]) + 1))
    assert report.mrr == pytest.approx(np.mean(first))
    assert report["within-class MRR"] == pytest.approx(np.mean(in_class))
    assert report["class first-hit MRR"] == pytest.approx(np.mean(by_class))
    np.testing.assert_allclose(1 / report.per_query["rank"], first)


def test_report_is_complete(dataset, similarities):
    report = evaluate(similarities, dataset, system="toy system")
    assert list(report.metrics.index) == NAMES
    assert list(report.metrics.columns) == ["value", "low", "high", "random"]
    assert (report.metrics["low"] <= report.metrics["value"]).all()
    assert (report.metrics["value"] <= report.metrics["high"]).all()
    assert list(report.per_class["queries"]) == [8, 8, 8]
    assert list(report.per_class["items"]) == [4, 4, 4]
    assert report.fingerprint == dataset.fingerprint()
    assert report.counts["queries"] == 24 and report.counts["queries tied"] == 0
    assert report.metrics.loc["MRR", "random"] == pytest.approx(
        sum(1 / n for n in range(1, 13)) / 12
    )
    for text in (repr(report), report.to_markdown(), report._repr_html_()):
        assert "toy system on toy" in text and f"{report.mrr:.4f}" in text
        assert report.fingerprint in text and all(name in text for name in NAMES)
    assert json.loads(json.dumps(report.to_dict()))["metrics"]["MRR"]["value"] == report.mrr
    with pytest.raises(KeyError, match="expected one of"):
        report["mrr"]


def test_random_levels_are_where_random_scores_land(dataset):
    values = [evaluate(score(Random(seed), dataset), dataset).metrics for seed in range(200)]
    mean = sum(table["value"] for table in values) / len(values)
    np.testing.assert_allclose(mean, values[0]["random"], atol=0.02)


def test_names_are_escaped_on_a_page(dataset, similarities):
    report = evaluate(similarities, dataset, system="<script>alert(1)</script>")
    assert "<script>" not in report._repr_html_()


def test_ties_are_counted_and_worth_nothing(dataset, similarities):
    constant = {query: dict.fromkeys(row, 0.5) for query, row in similarities.items()}
    forward = evaluate(constant, dataset)
    backward = {q: dict(reversed(row.items())) for q, row in reversed(constant.items())}
    assert forward.counts["queries tied"] == 24
    pd.testing.assert_frame_equal(forward.metrics, evaluate(backward, dataset).metrics)
    assert forward.mrr == pytest.approx(1 / 6.5)
    assert (forward.metrics["value"] <= forward.metrics["random"] + 1e-12).all()


def test_knowing_only_the_class_shows(dataset):
    exact, same_class = relevance(dataset)
    frame = pd.DataFrame(
        same_class.astype(float),
        index=dataset.queries["query_id"],
        columns=dataset.items["item_id"],
    )
    report = evaluate(frame, dataset)
    assert report["class NDCG"] == report["class first-hit MRR"] == 1
    assert report["within-class MRR"] <= report.metrics.loc["within-class MRR", "random"]
    assert report.mrr == pytest.approx(metrics.mean_reciprocal_rank(frame.to_numpy(), exact))


def test_nothing_is_computed_on_bad_scores(dataset, similarities):
    similarities["A/A0_q0.wav"]["A/A0.wav"] = float("nan")
    with pytest.raises(SimilarityError, match="1 score is NaN"):
        evaluate(similarities, dataset)
    with pytest.raises(ValueError, match="pool: found 'some'"):
        evaluate(score(Random(), dataset), dataset, pool="some")


def test_compare_finds_a_real_difference_and_no_other(dataset):
    exact, _ = relevance(dataset)
    rng = np.random.default_rng(0)

    def report(skill):
        scores = skill * exact + rng.normal(size=exact.shape)
        ids = {"index": dataset.queries["query_id"], "columns": dataset.items["item_id"]}
        return evaluate(pd.DataFrame(scores, **ids), dataset)

    good, bad, equal = report(3), report(0), report(0)
    found = compare(good, bad)
    assert found.difference == pytest.approx(good.mrr - bad.mrr)
    assert 0 < found.low < found.difference < found.high and found.p_value < 0.01
    assert str(found).startswith(f"MRR {found.difference:+.4f} (+") and "p = 0.0" in str(found)
    assert compare(bad, equal).p_value > 0.05
    assert compare(good, good).p_value == 1


def test_compare_refuses_other_data(dataset, similarities):
    report = evaluate(similarities, dataset)
    other = RetrievalDataset(dataset.items, dataset.queries[1:])
    with pytest.raises(ValueError, match="found reports on different data"):
        compare(report, evaluate(similarities, other))
    with pytest.raises(KeyError, match="'mAP': expected|'mAP', expected"):
        compare(report, report, "mAP")


def test_plot_shows_what_the_report_says(dataset, similarities):
    report = evaluate(similarities, dataset, system="toy system")
    left, right = report.plot().axes
    steps = left.lines[0].get_ydata()
    assert steps[0] == pytest.approx(report["R@1"]) and steps[-1] == 1
    assert [bar.get_width() for bar in right.patches] == sorted(report.per_class["MRR"])
    assert left.get_xlabel() and left.get_ylabel() and right.get_xlabel()


@pytest.mark.parametrize("scale", [1e-300, 1e17, 1e300])
def test_only_the_order_of_scores_counts(dataset, similarities, scale):
    scaled = {q: {i: scale * v for i, v in row.items()} for q, row in similarities.items()}
    expected = evaluate(similarities, dataset).metrics
    pd.testing.assert_frame_equal(evaluate(scaled, dataset).metrics, expected)
    for row in (*similarities.values(), *scaled.values()):
        del row["B/B1.wav"]
    worst = [evaluate(s, dataset, missing="worst") for s in (similarities, scaled)]
    pd.testing.assert_frame_equal(worst[0].metrics, worst[1].metrics)
    assert worst[0].counts["scores missing"] == 24
    last = worst[0].per_query[worst[0].per_query["item_id"] == "B/B1.wav"]
    assert (last["rank"] == 12).all()
