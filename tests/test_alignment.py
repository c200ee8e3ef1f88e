import json

import numpy as np
import pandas as pd
import pytest

from qvim_kit.datasets import RetrievalDataset
from qvim_kit.evaluation.alignment import SimilarityError, align, read_similarities

QUERY, ITEM = "A/A0_q0.wav", "B/B1.wav"


def problems_of(similarities, dataset):
    with pytest.raises(SimilarityError) as caught:
        align(similarities, dataset)
    return caught.value.problems


def test_same_from_dict_table_file_base_names_and_any_order(similarities, dataset, tmp_path):
    expected = np.array([list(row.values()) for row in similarities.values()])
    frame = pd.DataFrame.from_dict(similarities, orient="index")
    short = {
        query.split("/")[1]: {item.split("/")[1]: value for item, value in row.items()}
        for query, row in similarities.items()
    }
    path = tmp_path / "similarities.json"
    path.write_text(json.dumps(similarities))
    for given in (similarities, frame, frame.iloc[::-1, ::-1], short, path, str(path)):
        np.testing.assert_array_equal(align(given, dataset).scores, expected)


@pytest.mark.parametrize("kind", [int, np.float32, np.float64, np.int64])
def test_numbers_of_any_kind(similarities, dataset, kind):
    for row in similarities.values():
        row.update({item: kind(round(value)) for item, value in row.items()})
    scores = align(similarities, dataset).scores
    assert scores[0, 0] == similarities[QUERY]["A/A0.wav"]


def test_every_problem_is_named_at_once(similarities, dataset):
    del similarities["C/C3_q1.wav"]
    for row in similarities.values():
        del row["C/C2.wav"]
    values = [float("nan"), float("-inf"), "0.5", None, True, 10**400, [1.0]]
    rows = [query for query in similarities if query.startswith("B/")][: len(values)]
    for query, value in zip(rows, values, strict=True):
        similarities[query][ITEM] = value
    del similarities[QUERY][ITEM]
    assert problems_of(similarities, dataset) == [
        f"1 of {len(dataset.queries)} queries missing: C/C3_q1.wav",
        f"1 of {len(dataset.items)} items missing: C/C2.wav",
        f"query {QUERY}: 1 score is missing ({ITEM})",
        f"query {rows[0]}: 1 score is NaN ({ITEM})",
        f"query {rows[1]}: 1 score is infinite ({ITEM})",
        *(
            f"query {query}: 1 score is not a plain number; use float(score) ({ITEM})"
            for query in rows[2:5]
        ),
        f"query {rows[5]}: 1 score is infinite ({ITEM})",
        f"query {rows[6]}: 1 score is not a plain number; use float(score) ({ITEM})",
    ]


def test_of_many_that_are_missing_the_first_are_named(similarities, dataset):
    given = list(similarities)
    for query in given[:-1]:
        del similarities[query]
    (problem,) = problems_of(similarities, dataset)
    assert problem.startswith(f"{len(given) - 1} of {len(given)} queries missing: {given[0]}, ")
    assert problem.count(".wav") == 20 and problem.endswith(", …")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"cells": [], "metadata": {}, "nbformat": 4}, "is a notebook; run it (qvim submission"),
        ({"format": "x", "score": {}, "exit_code": 0}, "is the report of a run; give the sim"),
    ],
)
def test_other_files_are_called_by_their_name(content, said, dataset, tmp_path):
    path = tmp_path / "given"
    path.write_text(json.dumps(content))
    (problem,) = problems_of(path, dataset)
    assert problem.startswith(said)


def test_nan_in_a_table(similarities, dataset):
    frame = pd.DataFrame.from_dict(similarities, orient="index")
    frame.loc[QUERY, ["A/A1.wav", "A/A2.wav", "A/A3.wav", "B/B0.wav"]] = np.nan
    assert problems_of(frame, dataset) == [
        f"query {QUERY}: 4 scores are NaN (A/A1.wav, A/A2.wav, A/A3.wav, …)"
    ]


def test_transposed_tables_are_recognised(similarities, dataset):
    frame = pd.DataFrame.from_dict(similarities, orient="index")
    found = problems_of(frame.T, dataset)
    assert "looks transposed" in found[0] and len(found) == 3


def test_names_that_are_all_unknown_are_one_problem(similarities, dataset):
    stems = {q: {i[:-4]: v for i, v in row.items()} for q, row in similarities.items()}
    assert problems_of(stems, dataset) == [
        "none of the 12 item names is known, such as 'A/A0'; "
        "expected names such as 'A/A0.wav' or 'A0.wav'"
    ]


@pytest.mark.parametrize("given", [[], None, 3, np.zeros((24, 12))])
def test_what_is_no_table_is_one_problem(given, dataset):
    (problem,) = problems_of(given, dataset)
    assert f"found {type(given).__name__}, expected a nested dict" in problem


def test_rows_that_are_no_table_are_one_problem(similarities, dataset):
    rows = {query: list(row.values()) for query, row in similarities.items()}
    (problem,) = problems_of(rows, dataset)
    assert "24 queries hold no dict; query A/A0_q0.wav holds list" in problem


def test_nothing_at_all_lists_what_is_missing(dataset):
    queries, items = problems_of({}, dataset)
    assert queries.startswith("24 of 24 queries missing: ") and queries.endswith(", …")
    assert items == f"12 of 12 items missing: {', '.join(dataset.items['item_id'])}"


def test_a_base_name_of_two_files_names_both(dataset, similarities):
    items = dataset.items.replace({"item_id": {"B/B0.wav": "B/A0.wav"}})
    queries = dataset.queries.replace({"item_id": {"B/B0.wav": "B/A0.wav"}})
    clashing = RetrievalDataset(items, queries)
    short = {q: {i.split("/")[1]: v for i, v in row.items()} for q, row in similarities.items()}
    assert "item A0.wav fits A/A0.wav and B/A0.wav" in problems_of(short, clashing)[0]


def test_an_id_that_is_another_ones_base_name_is_itself(dataset, similarities):
    flat = {"item_id": {"A/A0.wav": "B0.wav"}, "query_id": {QUERY: "B0_q0.wav"}}
    nested = RetrievalDataset(dataset.items.replace(flat), dataset.queries.replace(flat))
    expected = np.array([list(row.values()) for row in similarities.values()])
    table = pd.DataFrame(expected, nested.queries["query_id"], nested.items["item_id"])
    np.testing.assert_array_equal(align(table.iloc[::-1, ::-1], nested).scores, expected)
    table = table.rename(index={"B/B0_q0.wav": "?"}, columns={"B/B0.wav": "?"})
    assert problems_of(table, nested) == [
        "1 of 24 queries missing: B/B0_q0.wav", "1 of 12 items missing: B/B0.wav"
    ]  # fmt: skip


def test_a_file_given_under_both_its_names(dataset, similarities):
    similarities["A0_q0.wav"] = similarities[QUERY]
    assert problems_of(similarities, dataset) == [
        f"query {QUERY} is given twice, also as A0_q0.wav"
    ]


def test_names_unknown_to_the_data_set_are_ignored_and_counted(dataset, similarities):
    for row in similarities.values():
        row["elsewhere.wav"] = 9.0
    similarities["elsewhere.wav"] = similarities[QUERY]
    assert align(similarities, dataset).ignored == 2


def test_missing_scores_may_rank_last(dataset, similarities):
    del similarities[QUERY]
    for row in similarities.values():
        del row[ITEM]
    aligned = align(similarities, dataset, missing="worst")
    assert aligned.missing == 12 + 23
    column = list(dataset.items["item_id"]).index(ITEM)
    assert (aligned.scores[1:, column] == -np.inf).all() and (aligned.scores[0] == -np.inf).all()
    assert np.isfinite(np.delete(aligned.scores[1:], column, axis=1)).all()
    similarities["A/A0_q1.wav"]["A/A0.wav"] = float("nan")
    with pytest.raises(SimilarityError, match="NaN"):
        align(similarities, dataset, missing="worst")
    with pytest.raises(ValueError, match="expected 'error' or 'worst'"):
        align(similarities, dataset, missing="drop")


@pytest.mark.parametrize("text", ["", "{", '{"q": {"i": NaN,}}', "\udcff"])
def test_broken_json(tmp_path, text):
    path = tmp_path / "similarities.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SimilarityError, match="cannot be read as JSON"):
        read_similarities(path)


def test_json_with_a_name_twice_or_no_file(tmp_path):
    path = tmp_path / "similarities.json"
    path.write_text('{"q1": {"a": 1, "b": 2, "a": 3}, "q1": {}}')
    with pytest.raises(SimilarityError) as caught:
        read_similarities(path)
    assert caught.value.problems == ["a stands twice in one table", "q1 stands twice in one table"]
    with pytest.raises(SimilarityError, match="no such file"):
        read_similarities(tmp_path / "absent.json")
