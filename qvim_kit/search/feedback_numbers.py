"""Stored feedback → numbers: how high the right sounds stood, and which system won.

Notebook: 06_search_by_voice.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pandas as pd

from qvim_kit.search.events import TAKEN_BACK
from qvim_kit.search.judging import Standings, head_to_head, mean_scores


def feedback_numbers(events: Iterable[dict[str, Any]], damaged_lines: int = 0) -> Standings:
    """MRR of the chosen sounds for each system, and every two systems against each other.

    - A query is what was asked of one library: a recording, with the words typed with it; searched
      in another library or with other words, it is another query.
    - A query's right sounds are those marked right by its last verdict on them, whichever
      system showed them: what is right for a query does not depend on who found it.
    - A system's reciprocal rank for a query is 1 / the best rank of a right sound in the
      ranking that it showed *first*: later ones have learnt from the marks. Rankings that are
      stored as ``reranked`` do not count at all, nor do those of searches with a ``filter``: among
      fewer sounds, any system places the right one higher.
    - What was taken back was not said: a query of which nothing else is left does not count.
    - It is 0 where no right sound was shown: searches that ended in "wrong" count, too, or who
      gives up would leave the mean as it is. Beyond what was shown nothing is known, so the MRR
      is a lower bound.
    - Two systems are compared on the queries that both were judged on, in one event (with
      ``other_ranking``) or several. Where only one panel's ranking is known, the panel whose
      sound was chosen wins the query.

    MRR: Voorhees, "The TREC-8 Question Answering Track Report", 1999. Judgements shared by
    systems: pooling, Manning, Raghavan & Schütze, Introduction to Information Retrieval, 8.5.
    """
    said = [event for event in events if event["kind"] == "feedback"]
    filtered = sum(bool(event.get("filter")) for event in said)
    first, verdicts, seen_in = _gathered(said)
    unsaid = {query for query, v in verdicts.items() if set(v.values()) == {TAKEN_BACK}}
    first = {key: ranking for key, ranking in first.items() if key[0] not in unsaid}
    right = {q: {s for s, v in sounds.items() if v == "right"} for q, sounds in verdicts.items()}
    rows = [
        (query, system, reciprocal_rank(ranking, right.get(query, set())))
        for (query, system), ranking in first.items()
    ]
    preferences = [
        (query, *panels) for (query, sound), panels in seen_in.items() if sound in right[query]
    ]
    # Some systems were only ever the other panel: columns of NaN.
    names = {system for _, system in first} | {name for _, *both in preferences for name in both}
    scores = _table(rows).reindex(columns=sorted(names))
    queries = {query for query, _ in first}
    counts = {"judgements": len(said), "queries": len(queries)}
    counts["without a right sound"] = sum(not right.get(query) for query in queries)
    if filtered:
        counts["judgements of filtered lists"] = filtered
    if damaged_lines:
        counts["damaged lines left out"] = damaged_lines
    judged = scores[[name for name in scores if scores[name].notna().any()]]
    systems, pairs = mean_scores(judged, "MRR"), head_to_head(scores, preferences)
    return Standings("Feedback: MRR of the sounds marked right", systems, pairs, counts)


def _gathered(
    said: list[dict[str, Any]],
) -> tuple[
    dict[tuple[str, str], list[str]],
    dict[str, dict[str | None, str]],
    dict[tuple[str, str], tuple[str, str]],
]:
    """What the events say of each query.

    Returns (query, system) → the ranking shown first; query → sound, or None for all that were
    shown → last verdict; (query, sound) → the panel that it was marked in, and the other one.
    """
    first: dict[tuple[str, str], list[str]] = {}
    verdicts: dict[str, dict[str | None, str]] = defaultdict(dict)
    seen_in: dict[tuple[str, str], tuple[str, str]] = {}
    for number, event in enumerate(said):
        # An event without a query is a query of its own.
        name = event.get("query") or f"event {number}"
        query = json.dumps([name, event.get("library"), event.get("words")])
        chosen, other = event.get("chosen"), event.get("other_system")
        verdicts[query][chosen] = event["verdict"]
        if event.get("filter"):
            continue
        if not event.get("reranked"):
            first.setdefault((query, event["system"]), event["ranking"])
            if event.get("other_ranking") is not None:
                first.setdefault((query, other), event["other_ranking"])
        if chosen is not None and other is not None:
            seen_in[query, chosen] = (event["system"], other)
    return first, verdicts, seen_in


def reciprocal_rank(ranking: list[str], right: set[str]) -> float:
    """1 / rank of the first right sound in a ranking as it was shown; 0 if there is none."""
    places = [place for place, name in enumerate(ranking, start=1) if name in right]
    return 1 / places[0] if places else 0.0


def _table(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    """(query, system, value) → one row a query, one column a system, NaN between them."""
    long = pd.DataFrame(rows, columns=["query", "system", "value"])
    return long.pivot(index="query", columns="system", values="value")
