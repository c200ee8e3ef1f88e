import argparse
import io
import json
import re

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from qvim_kit.cli import organiser
from qvim_kit.datasets import RetrievalDataset
from qvim_kit.datasets.mini import build_mini
from qvim_kit.evaluation import compare, evaluate, intervals, relevance, template_numbers
from qvim_kit.evaluation.report import REPORT_MIME
from qvim_kit.submission.leaderboard import rank, read_entry
from qvim_kit.submission.running.report import FORMAT
from qvim_kit.submission.running.scoring import file_hash
from qvim_kit.submission.running.shown import agreement, shown_numbers
from qvim_kit.submission.standings import to_csv, to_html, to_markdown, write_leaderboard


@pytest.fixture(autouse=True, scope="module")
def fewer_resamples():
    """Enough to tell systems apart; the intervals have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "RESAMPLES", 2 * intervals.BLOCK)
        yield


@pytest.fixture
def held_out(dataset):
    """Another set: the same items, other queries."""
    renamed = dataset.queries["query_id"].str.replace("_q", "_held")
    return RetrievalDataset(dataset.items, dataset.queries.assign(query_id=renamed), "eval")


def scores(dataset, skill, seed=0):
    exact = relevance(dataset)[0]
    values = skill * exact + np.random.default_rng(seed).normal(size=exact.shape)
    ids = (dataset.queries["query_id"], dataset.items["item_id"])
    return pd.DataFrame(values, *ids).to_dict("index")


@pytest.fixture
def files(dataset, tmp_path):
    """Three submissions as similarities.json: chance, good, better."""
    paths = []
    for name, skill in (("chance", 0), ("good", 2), ("better", 4)):
        paths.append(tmp_path / name / "output" / "similarities.json")
        paths[-1].parent.mkdir(parents=True)
        paths[-1].write_text(json.dumps(scores(dataset, skill, seed=len(name))))
    return paths


def write_report(folder, dataset, team="humming", number=2, skill=3, **changes):
    """What a run leaves, as far as the leaderboard reads it."""
    folder.mkdir()
    path = folder / "similarities.json"
    path.write_text(json.dumps(scores(dataset, skill)))
    report = evaluate(path, dataset)
    shown = {"value": report.mrr, "measured": report.mrr, "agrees": True}
    facts = {
        "format": FORMAT,
        "team": team,
        "number": number,
        "passed": True,
        "stage": None,
        "reason": None,
        "score": report.to_dict(),
        "similarities": {"file": path.name, "sha256": file_hash(path)},
        "shown": {"executed": shown},
    }
    (folder / "report.json").write_text(json.dumps(facts | changes))
    return folder / "report.json"


def test_order_values_and_tests_are_those_of_the_evaluator(files, dataset):
    board = rank(files, dataset)
    assert list(board.table.index) == ["better", "good", "chance"]
    assert (board.baseline, board.held_out, board.not_ranked) == ("chance", "", [])
    reports = {path.parts[-3]: evaluate(path, dataset) for path in files}
    for name, row in board.table.iterrows():
        assert row["MRR"] == reports[name].mrr
        assert row["class NDCG"] == reports[name]["class NDCG"]
        interval = reports[name].metrics.loc["MRR", ["low", "high"]]
        assert list(row[["low", "high"]]) == list(interval)
    numbers = template_numbers(files[1], dataset)
    assert board.table.loc["good", "template MRR"] == numbers["MRR"]
    assert board.table.loc["good", "template NDCG"] == numbers["class-wise NDCG"]
    found = compare(reports["good"], reports["chance"])
    assert board.table.loc["good", "p"] == found.p_value
    assert board.table.loc["good", "minus baseline"] == found.difference
    assert board.table.loc[["chance"], ["p", "p (Holm)", "shown"]].isna().all(axis=None)


def test_p_values_are_corrected_as_holm_has_it(dataset, tmp_path):
    paths = []
    for number, skill in enumerate((0, 0.3, 0.5, 0.9, 4)):
        paths.append(tmp_path / f"team{number}.json")
        paths[-1].write_text(json.dumps(scores(dataset, skill, seed=number)))
    table = rank(paths, dataset).table.dropna(subset="p").sort_values("p")
    # Holm's definition: the largest over the smaller ones, each times the tests not yet passed.
    naive = [max(min(1, p * (4 - j)) for j, p in enumerate(table["p"][: k + 1])) for k in range(4)]
    assert list(table["p (Holm)"]) == naive and len(set(table["p"])) > 2


def test_a_first_file_that_is_broken_is_no_baseline(files, dataset):
    files[0].write_text("{")
    board = rank(files, dataset)
    assert board.baseline == "good" and [name for name, _ in board.not_ranked] == ["chance"]
    with pytest.raises(ValueError, match="the baseline chance cannot be ranked"):
        rank(files, dataset, baseline="chance")


def test_equal_scores_share_a_place(files, dataset, tmp_path):
    twin = tmp_path / "twin.json"
    twin.write_bytes(files[2].read_bytes())
    lines = to_markdown(rank([*files, twin], dataset)).splitlines()[2:6]
    assert [line.split("|")[1].strip() for line in lines] == ["1", "1", "3", "4"]
    assert {line.split("|")[2].strip() for line in lines[:2]} == {"better", "twin"}


@pytest.mark.parametrize(
    "changes",
    [{"shown": []}, {"shown": {"executed": {"value": []}}}, {"score": None}, {"similarities": 3}],
)
def test_a_damaged_report_is_told_as_such(dataset, tmp_path, changes):
    entry = read_entry(write_report(tmp_path / "run", dataset, **changes), dataset)
    assert entry.report is None and "is no whole report" in entry.problem


def test_what_a_report_says_stays_one_line_of_letters(dataset, tmp_path):
    changes = {"passed": False, "stage": "time", "reason": "two\nlines \x1b[2J"}
    path = write_report(tmp_path / "run", dataset, team="a\u202eb", **changes)
    entry = read_entry(path, dataset)
    assert entry.name == "a?b_2" and entry.problem.endswith("failed at time: two lines ?[2J")
    (tmp_path / "run" / "similarities.json").unlink()
    (path).write_text(path.read_text().replace('"passed": false', '"passed": true'))
    assert "no similarities.json beside it" in read_entry(path, dataset).problem


@pytest.mark.parametrize("wanted", ["good", "path"])
def test_the_baseline_may_be_named(files, dataset, wanted):
    board = rank(files, dataset, baseline=files[1] if wanted == "path" else wanted)
    assert board.baseline == "good" and board.table.loc["chance", "minus baseline"] < 0
    with pytest.raises(ValueError, match="--baseline worst: expected .* chance, good, better"):
        rank(files, dataset, baseline="worst")


def test_reports_name_team_number_and_what_their_notebook_shows(files, dataset, tmp_path):
    other = {"value": 0.9, "measured": 0.5, "agrees": False}
    elsewhere = {"value": 0.7, "measured": 0.5, "agrees": None}
    reports = [
        write_report(tmp_path / "a", dataset),
        write_report(tmp_path / "b", dataset, "buzz", None, 1, shown={"submitted": other}),
        write_report(tmp_path / "c", dataset, "croak", 1, 1, shown={"submitted": elsewhere}),
    ]
    board = rank([*files, *reports], dataset)
    assert board.table.loc["humming_2", "agrees"] is True
    own = {line.split(" | ")[1]: line.split(" | ")[-1] for line in to_markdown(board).splitlines()
           if line.startswith("| ")}  # fmt: skip
    assert own["buzz"] == "0.900 DIFFERS |" and own["croak_1"] == "0.700 on other data |"
    assert own["humming_2"].endswith("agrees |") and own["good"] == "– |"


def test_what_cannot_be_ranked_is_listed_and_stops_nothing(files, dataset, held_out, tmp_path):
    failed = {"passed": False, "stage": "time", "reason": "ended after 9 s", "score": None}
    reports = [
        write_report(tmp_path / "a", dataset, "slow", 1, **failed),
        write_report(tmp_path / "b", held_out, "astray", 1),
        write_report(tmp_path / "c", dataset, "forged", 1),
        write_report(tmp_path / "d", dataset, "hollow", 1, similarities=None),
    ]
    (tmp_path / "c" / "similarities.json").write_text(json.dumps(scores(dataset, 9)))
    for name, text in (("junk", "{"), ("partial", '{"A/A0_q0.wav": {"A/A0.wav": 1}}'), ("no", "")):
        reports.append(tmp_path / f"{name}.json")
        if text:
            reports[-1].write_text(text)
    board = rank([*files, *reports], dataset)
    assert len(board.table) == 3
    why = dict(board.not_ranked)
    assert "failed at time: ended after 9 s" in why["slow_1"]
    assert f"ran on eval ({held_out.fingerprint()}), not on toy" in why["astray_1"]
    assert "is not the file that was scored" in why["forged_1"]
    assert "cannot be read as JSON" in why["junk"] and "no such file" in why["no"]
    assert ": 23 of 24 queries missing: A" in why["partial"] and "; and 1 more" in why["partial"]
    assert len(why) == 7 and all(name in to_markdown(board) for name in why)
    with pytest.raises(ValueError, match="the baseline slow_1 cannot be ranked: .*failed at time"):
        rank([reports[0], *files], dataset, baseline="slow_1")


def test_files_of_one_name_are_refused(files, dataset, tmp_path):
    twin = tmp_path / "good.json"
    twin.write_text(files[1].read_text())
    with pytest.raises(
        ValueError, match="several files have one name\n  good: .*good/output.*good"
    ):
        rank([*files, twin], dataset)
    assert read_entry(twin, dataset).name == read_entry(files[1], dataset).name == "good"


def test_two_sets_show_who_fitted_the_first(files, dataset, held_out, tmp_path):
    held = []
    for name, skill in (("chance", 0), ("good", 2), ("better", 0.5), ("late", 1)):
        held.append(tmp_path / "held" / f"{name}.json")
        held[-1].parent.mkdir(exist_ok=True)
        held[-1].write_text(json.dumps(scores(held_out, skill, seed=9)))
    board = rank(files, dataset, held_out_files=held, held_out=held_out)
    table = board.table
    assert list(table.index) == ["good", "better", "chance"]  # as on the held-out set
    reports = {path.stem: evaluate(path, held_out) for path in held}
    assert table.loc["good", "held-out MRR"] == reports["good"].mrr
    assert table.loc["good", "p"] == compare(reports["good"], reports["chance"]).p_value
    gap = table.loc["better"]
    assert gap["gap"] == pytest.approx(gap["MRR"] - gap["held-out MRR"])
    assert 0 < gap["gap low"] < gap["gap"] < gap["gap high"]
    assert table.loc["good", "gap low"] < 0 < table.loc["good", "gap high"]
    assert board.not_ranked == [("late", "is in the held-out files only")]
    page = to_html(board)
    assert "eval: MRR (95 %)" in page and "toy: MRR (95 %)" in page and "late" in page


def test_what_the_deciding_set_lacks_has_no_place(files, dataset, held_out, tmp_path):
    held = []
    for name in ("chance", "good"):
        held.append(tmp_path / "held" / f"{name}.json")
        held[-1].parent.mkdir(exist_ok=True)
        held[-1].write_text(json.dumps(scores(held_out, 1)) if name == "chance" else "{")
    board = rank(files, dataset, held_out_files=held, held_out=held_out)
    lines = {line.split("|")[2].split()[0]: line for line in to_markdown(board).splitlines()[2:5]}
    assert lines["chance"].startswith("| 1 |")
    assert all(lines[name].startswith("| – |") for name in ("good", "better"))
    why = dict(board.not_ranked)
    assert why["better"] == "has no held-out file, so it has no place" and "good" in why


def test_without_a_baseline_asked_for_none_is_blamed(tmp_path, dataset):
    with pytest.raises(ValueError, match="no file can be ranked: .*no such file; nor 1 more"):
        rank([tmp_path / "a.json", tmp_path / "b.json"], dataset)


def test_the_interval_of_the_gap_covers_the_true_one(dataset, held_out):
    """Both intervals normal and equally wide: the gap's is wider by the root of two."""
    from qvim_kit.submission.comparing import gap

    row = {"MRR": 0.5, "low": 0.4, "high": 0.6, "held-out MRR": 0.3, "held-out low": 0.2}
    found = gap(pd.DataFrame([row | {"held-out high": 0.4}]), "held-out ").iloc[0]
    assert found.tolist() == pytest.approx([0.2, 0.2 - 0.1 * 2**0.5, 0.2 + 0.1 * 2**0.5])


def test_all_formats_hold_every_row_and_pages_escape(files, dataset, tmp_path):
    evil = write_report(tmp_path / "x", dataset, "<b>|pipe", 1)
    board = rank([*files, evil], dataset)
    markdown, page, csv = to_markdown(board), to_html(board), to_csv(board)
    assert "<b>" not in page and "&lt;b&gt;|pipe_1" in page
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == 6 and len({line.count("|") for line in rows}) == 1
    read = pd.read_csv(io.StringIO(csv))
    assert list(read["submission"]) == list(board.table.index)
    np.testing.assert_allclose(read["MRR"], board.table["MRR"])
    for suffix in (".md", ".html", ".csv"):
        write_leaderboard(board, tmp_path / f"board{suffix}")
    assert (tmp_path / "board.html").read_text() == page
    with pytest.raises(ValueError, match="expected a name that ends in .md, .html, .csv"):
        write_leaderboard(board, tmp_path / "board.pdf")


# --- what a notebook shows -------------------------------------------------------------------


def shows(*outputs):
    return new_notebook(cells=[new_code_cell("x", outputs=list(outputs))])


def printed(text):
    return new_output("stream", name="stdout", text=text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("MRR: 0.1262\nclass-wise normalised reciprocal rank: 0.3", "0.1262"),
        ("MRR 0.5\n", "0.5"),
        ("The MRR (mean reciprocal rank) is 0.31", "0.31"),
        ("Random MRR: 0.0447\nMRR: 0.2726", "0.2726"),
        ("Class-wise MRR: 0.64", None),
        ("MRR of 5 systems", None),
        ("accuracy 0.9", None),
    ],
)
def test_printed_numbers_are_found(text, number):
    assert shown_numbers(shows(printed(text))).get("template MRR") == number


def test_a_report_of_the_kit_is_found_by_its_data_and_the_last_counts(dataset, similarities):
    report = evaluate(similarities, dataset)
    older = {REPORT_MIME: {"metrics": {"MRR": {"value": 0.9}}, "fingerprint": "0"}}
    bundle = report._repr_mimebundle_()
    notebook = shows(
        new_output("display_data", data=older),
        new_output("execute_result", data=bundle),
        new_output("display_data", data={REPORT_MIME: {"metrics": "junk"}}),
        printed("MRR: 0.1"),
    )
    notebook = nbformat.reads(nbformat.writes(notebook), 4)
    shown = shown_numbers(notebook)
    assert shown == {
        "MRR": report.mrr,
        "fingerprint": report.fingerprint,
        "template MRR": "0.1",
    }
    assert agreement(shown, report.mrr, 0.5, report.fingerprint)["agrees"] is True
    assert agreement(shown, report.mrr + 0.01, 0.5, report.fingerprint)["agrees"] is False
    assert agreement(shown, report.mrr, 0.5, "other")["agrees"] is None
    assert shown_numbers(None) == {}


@pytest.mark.parametrize(
    ("text", "measured", "agrees"),
    [
        ("0.13", 0.1262, True),
        ("0.1262", 0.12624, True),
        ("0.1262", 0.1263, False),
        ("1.0", 1, True),
    ],
)
def test_a_printed_number_agrees_if_the_measured_one_rounds_to_it(text, measured, agrees):
    assert agreement({"template MRR": text}, 0.5, measured, "")["agrees"] is agrees


# --- the command -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return build_mini(tmp_path_factory.mktemp("board") / "small", ["Bell"], 2)


def run(*arguments):
    parser = argparse.ArgumentParser()
    organiser.add_to(parser.add_subparsers())
    options = parser.parse_args(["leaderboard", *map(str, arguments)])
    return options.run(options)


def test_the_command(small, tmp_path, capsys):
    from qvim_kit.datasets import read_qvim_dev

    data = read_qvim_dev(small)
    for name, skill in (("one", 0), ("two", 5)):
        (tmp_path / f"{name}.json").write_text(json.dumps(scores(data, skill)))
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    assert run(*files, "--data", small) == 0
    out = capsys.readouterr().out
    assert re.search(r"\| 1 \| two \| 1\.000 ", out) and "one (baseline)" in out
    page = tmp_path / "board.html"
    command = [*files, "--data", small, "--held-out", *files, "--held-out-data", small, "-o", page]
    assert run(*command) == 0
    assert "small: MRR" in page.read_text()
    (tmp_path / "bad.json").write_text("[]")
    assert run(*files, tmp_path / "bad.json", "--data", small) == 1
    assert "not ranked: bad: " in capsys.readouterr().err
    for wrong, message in (
        (["--held-out", *files], "give both, or neither"),
        (["-o", "board.pdf"], "expected a name that ends in"),
        ([tmp_path / "*/none.json"], "no file fits; expected one such as"),
        ([tmp_path / "eyes_1.ipynb"], r"eyes_1.ipynb is a notebook; run it .* its report.json"),
        ([tmp_path], "is a folder, expected its files: write .*report.json"),
        (["--baseline", "three"], "expected one of the files, or of one, two"),
    ):
        with pytest.raises(ValueError, match=message):
            run(*files, *wrong, "--data", small)
