"""Pages that need no other file: what the run's report and the leaderboard have in common."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape as escaped

ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8882; --good: #1a7f37; --bad: #c62828; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 0 .3rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line) }
th { font-weight: 600; vertical-align: bottom }
td { vertical-align: top; overflow-wrap: break-word }
td.number, th.number { text-align: right }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.wide { max-width: 90rem } .wide table { display: block; overflow-x: auto }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: 13px; line-height: 1.4 }
.badge { color: #fff; border-radius: .3rem; padding: .1rem .6rem; font-weight: 600 }
.passed { background: var(--good) } .failed { background: var(--bad) }
.note { color: #777; font-size: 13px } .big { font-size: 1.1rem }
summary { cursor: pointer; margin: .5rem 0 }
"""


def printable(text: str) -> str:
    r"""A text without what a terminal takes for orders; lines and tabs stay.

    >>> printable("\x1b[31mred\x1b[0m\a")
    'red�'
    """
    text = ANSI.sub("", text)
    return "".join("�" if _is_order(one) else one for one in text)


def _is_order(one: str) -> bool:
    return one not in "\n\t" and unicodedata.category(one) in ("Cc", "Cf", "Cs")


def escape(text: str) -> str:
    """Text for a page: `printable`, and without what HTML takes for tags."""
    return escaped(printable(text))


def page(title: str, *parts: str, kind: str = "") -> str:
    """A whole page of these pieces of HTML; the title is text and escaped here.

    Its kind may be "wide", for tables of many columns.
    """
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}<title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body class='{kind}'>\n{body}\n</body>\n</html>\n"
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()
) -> str:
    """A table of text, all of it escaped; the columns in ``numbers`` stand to the right."""
    right = set(numbers)

    def line(cells: Sequence[object], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in right else ''}>{escape(str(cell))}</{tag}>"
            for place, cell in enumerate(cells)
        )

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f"<table>\n<tr>{line(head, 'th')}</tr>\n{body}\n</table>"


def section(heading: str, *parts: str) -> str:
    """Pieces of HTML under a heading; nothing where there are none."""
    body = "\n".join(part for part in parts if part)
    return f"<h2>{escape(heading)}</h2>\n{body}" if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """Text as a paragraph, escaped."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def folded(summary: str, body: str) -> str:
    """HTML that opens on a click."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"
