"""What README and card say of the checkpoint that comes with the kit are the same numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import qvim_kit
from qvim_kit.effects import CLASSES
from qvim_kit.models.dual_encoder import DualEncoder

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def card():
    return DualEncoder.from_pretrained("qvim-mn04").card


def interval(mrr, bounds):
    low, high = bounds
    return f"{mrr:.3f} ({low:.3f} – {high:.3f})".replace("0.", ".")


def test_the_readme_has_the_cards_comparison(card):
    lines = README.read_text(encoding="utf-8").splitlines()
    random, *rows = card["metrics"]["comparison"]["rows"]
    assert f"| MRR (random {random['sung']:.3f}) |".replace("0.", ".") in "\n".join(lines)
    for row in rows:
        voices = [interval(row[voice], row[f"{voice} interval"]) for voice in ("sung", "pieced")]
        assert f"| {row['system']} | {' | '.join(voices)} |" in lines


def test_the_readme_has_what_the_card_says_of_unheard_sounds(card):
    text = README.read_text(encoding="utf-8")
    known = {row["system"]: row for row in card["metrics"]["unheard"]["rows"]}
    mine = known["qvim-mn04"]
    others = ", ".join(
        f"{name} {known[row]['MRR']:.3f}".replace("0.", ".")
        for name, row in (
            ("random", "random"), ("frozen mn04_as", "mn04_as, frozen"), ("2DFT", "2DFT"),
        )
    )  # fmt: skip
    assert f"{interval(mine['MRR'], mine['interval'])[:-1]}; {others})" in text


def test_the_chosen_epoch_is_the_best_of_the_validation(card):
    *_, mine = card["metrics"]["validation"]["rows"]
    assert mine["MRR"] == max(card["training"]["validation_mrr_by_epoch"])
    low, high = mine["interval"]
    assert low < mine["MRR"] < high


def test_no_class_of_the_mini_data_set_was_imitated(card):
    """Each has a pattern among those of the training's command, or occurs in no library."""
    command, _ = card["training"]["commands"]
    patterns = re.findall(r'"(\*[^"]*)"', command.partition("--exclude")[2])
    words = {re.sub(r"[^a-z]", "", pattern.casefold()) for pattern in patterns}
    for name in set(CLASSES) - {"Siren"}:  # no sound is called so
        assert any(name.casefold().rstrip("s").endswith(word.rstrip("s")) for word in words), name


def test_readme_and_card_say_the_same_of_people(card):
    """And the gain that is not shown is not hidden: the mean over imitations stands there, too."""
    text = README.read_text(encoding="utf-8")
    numbers = re.findall(r"\.\d{3}(?: \(\.\d{3} – \.\d{3}\))?", card["limits"])
    mine, frozen, *means = numbers
    assert f"{mine} with qvim-mn04, {frozen} with the frozen mn04_as" in text
    assert f"qvim-mn04 is behind ({' against '.join(means)})" in text
    assert f"averaged over imitations it is behind, {' against '.join(means)}" in card["limits"]


def test_the_readme_has_the_cards_numbers_of_mini(card):
    text = README.read_text(encoding="utf-8")
    for row in card["metrics"]["mini"]["rows"]:
        bounds = " – ".join(f"{bound:.3f}" for bound in row["interval"] or ())
        line = re.search(rf"^\| {re.escape(row['system'])}.*$", text, re.MULTILINE)[0]
        assert f"| {row['MRR']:.3f} | {bounds}".replace("0.", ".") in line


def test_its_size_is_as_told():
    weights = next(Path(qvim_kit.__file__).parent.glob("weights/qvim-mn04.safetensors"))
    size = weights.stat().st_size / 1e6
    assert f"({size:.0f} MB, `EncoderSystem" in README.read_text(encoding="utf-8") and size < 5
