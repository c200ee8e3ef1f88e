import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from qvim_kit.datasets import DatasetError, RetrievalDataset, load_mini
from qvim_kit.evaluation.alignment import SimilarityError
from qvim_kit.submission import base_name_ids, open_data, open_root, write_similarities

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
TEMPLATE = NOTEBOOKS / "05_submission.ipynb"
PARTS = ["paths", "set-up", "implementation", "instance"]


def cells(path):
    return nbformat.read(path, as_version=4).cells


def part_of(cell):
    tags = cell.metadata.get("tags", [])
    return tags[1] if "participant" in tags else None


@pytest.mark.parametrize("filled", sorted((NOTEBOOKS / "submissions").glob("*.ipynb")))
def test_filled_copies_differ_from_the_template_in_the_four_cells_only(filled):
    template, copy = cells(TEMPLATE), cells(filled)
    assert len(template) == len(copy)
    changed = set()
    for original, filled_in in zip(template, copy, strict=True):
        if original != filled_in:
            assert part_of(original) and part_of(original) == part_of(filled_in)
            changed.add(part_of(original))
    assert {"implementation", "instance"} <= changed


def test_the_template_has_the_four_cells_in_order():
    assert [part_of(cell) for cell in cells(TEMPLATE) if part_of(cell)] == PARTS


def test_the_template_keeps_the_challenges_names():
    code = "\n".join(cell.source for cell in cells(TEMPLATE) if cell.cell_type == "code")
    for name in ("ROOT_PATH", "DATA_PATH", "QBVIM_MODEL", "helpers.ROOT_PATH = ROOT_PATH"):
        assert name in code


def test_the_defaults_are_the_challenges(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (paths,) = [cell.source for cell in cells(TEMPLATE) if part_of(cell) == "paths"]
    names = {}
    exec(paths, names)
    assert (names["ROOT_PATH"], names["DATA_PATH"]) == (".", "data/qvim-dev")


def test_base_names():
    assert base_name_ids({"A/x.wav": "1", "B/y.wav": "2"}) == {"x.wav": "1", "y.wav": "2"}
    with pytest.raises(DatasetError, match="A/x.wav and B/x.wav have one base name, x.wav"):
        base_name_ids({"A/x.wav": "1", "B/x.wav": "2"})


def test_mini_stands_in_only_for_the_default_path(tmp_path, monkeypatch, capsys):
    mini = load_mini()
    monkeypatch.chdir(tmp_path)
    assert open_data().fingerprint() == mini.fingerprint()
    assert "mini data set stands in" in capsys.readouterr().out
    with pytest.raises(DatasetError, match="my-data(?s:.*)found nothing, expected a folder"):
        open_data("my-data")
    (tmp_path / "my-file").write_text("")
    with pytest.raises(DatasetError, match="found a file, expected a folder"):
        open_data("my-file")
    with pytest.raises(DatasetError, match="DATA_PATH(?s:.*)found None"):
        open_data(None)


def test_a_data_path_of_ones_own_is_read(capsys):
    mini = load_mini()
    folder = Path(mini.items["path"][0]).parents[2]
    assert open_data(str(folder)).fingerprint() == mini.fingerprint()
    assert "stands in" not in capsys.readouterr().out


def test_qvim_dev_in_the_data_folder_is_found(tmp_path, monkeypatch):
    from qvim_kit.datasets.mini import build_mini

    build_mini(tmp_path / "data" / "qvim-dev", ["Bell"], 1)
    monkeypatch.setenv("QVIM_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path.parent)
    assert open_data().name == "qvim-dev"


def test_similarities_are_written_as_plain_json_under_base_names(dataset, similarities, tmp_path):
    numpy = {q: {i: np.float32(v) for i, v in row.items()} for q, row in similarities.items()}
    path = write_similarities(numpy, dataset, tmp_path)
    assert path == tmp_path / "output" / "similarities.json"
    written = json.loads(path.read_text())
    assert written["A0_q0.wav"]["B1.wav"] == float(
        np.float32(similarities["A/A0_q0.wav"]["B/B1.wav"])
    )
    assert [file.name for file in path.parent.iterdir()] == ["similarities.json"]


def test_bad_similarities_do_not_replace_good_ones(dataset, similarities, tmp_path):
    path = write_similarities(similarities, dataset, tmp_path)
    before = path.read_text()
    similarities["A/A0_q0.wav"]["B/B1.wav"] = float("nan")
    with pytest.raises(SimilarityError):
        write_similarities(similarities, dataset, tmp_path)
    assert path.read_text() == before


def test_clashing_base_names_are_refused_when_writing(dataset, similarities, tmp_path):
    renamed = {"B/B0.wav": "B/A0.wav"}
    clashing = RetrievalDataset(
        dataset.items.replace({"item_id": renamed}), dataset.queries.replace({"item_id": renamed})
    )
    full = {q: {renamed.get(i, i): v for i, v in row.items()} for q, row in similarities.items()}
    with pytest.raises(DatasetError, match="have one base name"):
        write_similarities(full, clashing, tmp_path)


def test_files_that_no_model_can_read_are_found_first(tmp_path):
    from qvim_kit.datasets.mini import build_mini

    folder = build_mini(tmp_path / "small", ["Bell"], 2)
    (folder / "Items" / "Bell" / "Bell_1.wav").write_bytes(b"")
    (folder / "Queries" / "Bell" / "Bell_2_imitation_1.wav").write_text("<html>")
    with pytest.raises(DatasetError) as caught:
        open_data(folder)
    assert len(caught.value.problems) == 2 and "is empty" in str(caught.value)


def test_root_path_is_made_absolute_and_old_scores_are_set_aside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_root("new/project") == str(tmp_path / "new" / "project")
    assert open_root("~/project") == str(tmp_path / "home" / "project")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "similarities.json").write_text("old")
    assert open_root() == str(tmp_path)
    assert not (tmp_path / "output" / "similarities.json").exists()
    assert (tmp_path / "output" / "similarities.previous.json").read_text() == "old"


def test_a_root_path_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="ROOT_PATH: .*file is not a folder that can be written"):
        open_root(tmp_path / "file")
    with pytest.raises(ValueError, match="ROOT_PATH: found None"):
        open_root(None)
