"""A folder that is built is whole or not there, and nobody else's is ever removed."""

import os

import pytest

from qvim_kit.datasets.building import Recipe, built_beside, digest, is_free
from qvim_kit.datasets.captioned import build_captioned
from qvim_kit.datasets.mini import build_mini
from qvim_kit.datasets.tables import DatasetError

RECIPE = Recipe("a builder", "0" * 64, 1, "table.csv")


def fill(folder, recipe=RECIPE, content="sound"):
    (folder / "Items" / "Dog").mkdir(parents=True)
    (folder / "Items" / "Dog" / "a.wav").write_text(content)
    recipe.write(folder)


def build(folder, recipe=RECIPE, meanwhile=lambda: None):
    with built_beside(folder, recipe.made, recipe.owns) as workshop:
        fill(workshop, recipe)
        meanwhile()


def test_it_is_built_once_and_again_where_it_is_stale_or_not_whole(tmp_path):
    place = tmp_path / "deep" / "place"
    assert is_free(place) and RECIPE.owns(place) and not RECIPE.made(place)
    build(place)
    assert RECIPE.made(place) and not is_free(place)
    (place / "Items" / "Dog" / "a.wav").unlink()
    assert not RECIPE.made(place) and RECIPE.owns(place)
    build(place)
    newer = RECIPE._replace(digest="1" * 64)
    assert RECIPE.made(place) and newer.owns(place) and not newer.made(place)
    build(place, newer)
    assert newer.made(place) and os.listdir(place.parent) == ["place"]


def test_digests_follow_settings_and_files(tmp_path):
    (tmp_path / "a.py").write_text("1")
    first = digest((1, 2), [tmp_path / "a.py"])
    assert first == digest((1, 2), [tmp_path / "a.py"]) != digest((1, 3), [tmp_path / "a.py"])
    (tmp_path / "a.py").write_text("2")
    assert digest((1, 2), [tmp_path / "a.py"]) != first


@pytest.mark.parametrize(
    "files",
    [
        {"recipe.txt": "apples, flour, butter"},
        {"recipe.txt": "another builder\n" + "0" * 64},
        {"recipe.txt": "0" * 64},  # as of an older builder, but whose?
        {"thesis.txt": "mine"},
    ],
)
def test_what_is_somebody_elses_stays(tmp_path, files):
    for name, text in files.items():
        (tmp_path / "place").mkdir(exist_ok=True)
        (tmp_path / "place" / name).write_text(text)
    before = {path.name: path.read_text() for path in (tmp_path / "place").iterdir()}
    with pytest.raises(
        DatasetError, match="place: 1 problem(?s:.*)holds something else(?s:.*)away"
    ):
        build(tmp_path / "place", meanwhile=lambda: pytest.fail("it was worked"))
    assert {path.name: path.read_text() for path in (tmp_path / "place").iterdir()} == before
    assert os.listdir(tmp_path) == ["place"]


def test_what_somebody_puts_there_meanwhile_stays(tmp_path):
    def put():
        (tmp_path / "place").mkdir()
        (tmp_path / "place" / "thesis.txt").write_text("mine")

    with pytest.raises(DatasetError, match="holds something else"):
        build(tmp_path / "place", meanwhile=put)
    assert os.listdir(tmp_path) == ["place"] and os.listdir(tmp_path / "place") == ["thesis.txt"]


@pytest.mark.parametrize("before", [None, RECIPE._replace(digest="1" * 64)])
def test_of_several_processes_the_fastest_folder_stays(tmp_path, before):
    place = tmp_path / "place"
    if before:
        fill(place, before)

    def faster():
        build(place)
        (place / "Items" / "Dog" / "a.wav").write_text("of the faster")

    build(place, meanwhile=faster)
    assert (place / "Items" / "Dog" / "a.wav").read_text() == "of the faster"
    assert RECIPE.made(place) and os.listdir(tmp_path) == ["place"]


def test_work_that_fails_leaves_the_older_and_nothing_beside_it(tmp_path):
    older = RECIPE._replace(digest="1" * 64)
    fill(tmp_path / "place", older)

    def fail():
        raise ValueError("no more space")

    with pytest.raises(ValueError, match="no more space"):
        build(tmp_path / "place", meanwhile=fail)
    assert older.made(tmp_path / "place") and os.listdir(tmp_path) == ["place"]


def test_the_builders_leave_each_others_folders_alone(tmp_path):
    build_captioned(tmp_path / "words", 1, classes=["Bell"])
    build_mini(tmp_path / "mini", ["Bell"], 1)
    (tmp_path / "mini" / "runs").mkdir()
    (tmp_path / "mini" / "runs" / "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds something else"):
        build_captioned(tmp_path / "mini", 1, classes=["Bell"])
    with pytest.raises(DatasetError, match="holds something else"):
        build_mini(tmp_path / "words", ["Bell"], 1)
    assert (tmp_path / "mini" / "runs" / "mine.txt").read_text() == "mine"
