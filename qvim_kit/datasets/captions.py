"""Captions of the mini data set: sentences that are true of a sound, as they tell how it was made.

What is heard, how often, how fast, how loud and what changes is read from the parameters of an
effect's synthesis (`effects`). Notebook: 07_search_by_text.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from qvim_kit.datasets.caption_words import MANY, NUMBERS, WORDS, Kind, Trait
from qvim_kit.datasets.tables import QUERY_COLUMNS, DatasetError, RetrievalDataset

CAPTIONS = 5  # of each item, as in Clotho
PARAMETERS = "parameters.json"
# Of the peak, dB re full scale.
LOUDNESS = Trait("level_db", -10.0, -4.5, ("quiet", "soft", "faint"), ("loud",))
ADVERBS = {word: f"{word}ly" for word in ("quiet", "soft", "faint", "loud")}


def caption(class_name: str, parameters: Mapping[str, float], number: int) -> str:
    """A sentence about an effect of `effects.CLASSES`, always the same for the same arguments.

    Captions 1 to 5 differ in how they are built and how much they say; later numbers choose other
    words for the same. What a caption says is true, and what lies between the thresholds of
    `caption_words` goes without saying.

    Args:
        class_name: one of `effects.CLASSES`.
        parameters: as from `effects.draw_parameters`.
        number: of the caption, from 1.

    Raises `ValueError` for another class or number, or for parameters that lack something.
    """
    if class_name not in WORDS:
        raise ValueError(f"caption: found class {class_name!r}, expected one of {', '.join(WORDS)}")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"caption: found number {number!r}, expected a whole number from 1 up")
    kind = WORDS[class_name]
    traits = (LOUDNESS, *kind.looks, *kind.details, *kind.changes, *filter(None, [kind.pace]))
    needed = {trait.parameter for trait in traits} | ({kind.count} - {None})
    if lacking := sorted(needed - {*parameters}):
        raise ValueError(f"caption: {class_name} lacks the parameters {', '.join(lacking)}")
    # Which of several words is taken differs between sounds, lest a word be a caption's number.
    turn = number + zlib.crc32(repr(sorted(parameters.items())).encode())
    text = _BUILDERS[(number - 1) % len(_BUILDERS)](_Facts(kind, parameters, turn))
    text = re.sub(r" +", " ", re.sub(r"\ba (?=[aeiou])", "an ", text))
    return text[0].upper() + text[1:] + "."


class _Facts:
    """What can be said of one effect, in the words of this turn."""

    def __init__(self, kind: Kind, parameters: Mapping[str, float], turn: int):
        self.kind, self.parameters, self.turn = kind, parameters, turn
        self.count = int(parameters[kind.count]) if kind.count else None
        self.looks, self.details = self.said(kind.looks), self.said(kind.details)
        self.changes = self.said(kind.changes)
        # One event alone has no pace.
        self.pace = "".join(self.said([kind.pace])) if kind.pace and self.count != 1 else ""
        self.loudness = "".join(self.said([LOUDNESS]))

    def pick(self, words: tuple[str, ...]) -> str:
        return words[self.turn % len(words)]

    def said(self, traits: Iterable[Trait]) -> list[str]:
        """The words for each trait that lies outside its thresholds."""
        words = []
        for name, low, high, below, above in traits:
            value = self.parameters[name]
            fitting = below if value < low else above if value > high else ()
            words += [self.pick(fitting)] if fitting else []
        return words

    def fill(self, template: str, looks: bool = True) -> str:
        """A template of `caption_words` with its words."""
        count = self.count or 0
        number = NUMBERS[count] if count < MANY else "many"
        like = f"{' '.join(self.looks)} " if looks and self.looks else ""
        pace = {"slowly": "slow ", "fast": "fast ", "quickly": "quick "}.get(self.pace, "")
        times = {1: "once", 2: "twice"}.get(count, f"{number} times")
        words = {"a": f"a {like}", "x": like, "low": like, "n": number, "times": times}
        return template.format(**words, pace=pace, s="" if count == 1 else "s")

    def happens(self, looks: bool = True) -> str:
        """The main clause."""
        steady = self.count == 0 and self.kind.steady
        return self.fill(self.pick(steady or self.kind.sentences), looks)


def _listed(*parts: str | list[str]) -> str:
    flat = [p for part in parts for p in (part if isinstance(part, list) else [part])]
    return ", ".join(p for p in flat if p)


def _everything(f: _Facts) -> str:
    main = f"{f.happens()} {f.pace}".strip()
    return _listed(main, ADVERBS.get(f.loudness, ""), f.details, f.changes)


def _events(f: _Facts) -> str:
    template = f.kind.events if f.count else f.kind.source
    return _listed(f.fill(template), "" if f.count else f.pace, f.details, f.changes)


def _loudness_first(f: _Facts) -> str:
    first = f"{f.loudness} sound of " if f.loudness else "the sound of "
    main = f"{first}{f.fill(f.kind.source, looks=False)}"
    times = f.fill(f.kind.often) if f.count else ""
    return _listed(main, times, f.pace, f.changes, f.details[:1])


def _change_first(f: _Facts) -> str:
    rest = _listed(f.details, f.loudness)
    main = _listed(f"{f.happens()} {f.pace}".strip(), f.changes)
    return f"{main}; {rest}" if rest else main


def _hasty(f: _Facts) -> str:
    return _listed(f.happens(looks=False), f.pace, f.changes[:1], f.looks[:1], f.loudness)


_BUILDERS = (_everything, _events, _loudness_first, _change_first, _hasty)


def caption_queries(dataset: RetrievalDataset, captions: int = CAPTIONS) -> RetrievalDataset:
    """The same items, searched in words: one query for each caption of each item.

    Query ids are ``Class/file.wav#1`` and so on. For data sets that `build_mini` made.

    Raises `DatasetError` for items without known parameters, all at once.
    """
    made = [
        (f"{item}#{n}", "", kind, item, caption(kind, parameters, n))
        for item, (kind, parameters) in _parameters(dataset).items()
        for n in range(1, captions + 1)
    ]
    queries = pd.DataFrame(made, columns=[*QUERY_COLUMNS, "text"])
    return RetrievalDataset(dataset.items, queries, f"{dataset.name}, in words")


def add_captions(dataset: RetrievalDataset) -> RetrievalDataset:
    """The same imitations with words beside each: what a fusion of voice and text searches with.

    The first imitation of an item has its caption 1, the second its caption 2, and so on. Raises
    as `caption_queries`.
    """
    known, queries = _parameters(dataset), dataset.queries
    numbers = queries.groupby("item_id").cumcount() + 1
    pairs = zip(queries["item_id"], numbers, strict=True)
    texts = [caption(*known[item], int(number)) for item, number in pairs]
    return RetrievalDataset(dataset.items, queries.assign(text=texts), dataset.name)


def _parameters(dataset: RetrievalDataset) -> dict[str, tuple[str, dict[str, float]]]:
    """Item id → class and parameters, from the ``parameters.json`` of the folder it lies in."""
    files: dict[Path, dict] = {}
    found, problems = {}, []
    for item in dataset.items.to_dict("records"):
        path = Path(item["path"])
        listing = Path(*path.parts[:-3], PARAMETERS)  # above Items/Class/file.wav
        if listing not in files:
            try:
                files[listing] = json.loads(listing.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                files[listing] = {}
                problems.append(f"{listing} cannot be read ({error})")
        name = f"{path.parent.name}/{path.name}"
        if files[listing] and name not in files[listing]:
            problems.append(f"{listing} does not know {name}")
        found[item["item_id"]] = (item["class"], files[listing].get(name))
    if problems:
        remedy = "Only data sets that build_mini made are captioned; give others a column 'text'."
        raise DatasetError(dataset.name, problems, remedy)
    return found
