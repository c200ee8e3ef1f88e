"""Whatever a file holds: an answer, in bounded time and memory, and no traceback."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submissions.building import filled, template, write

from qvim_kit.submission.checking import check
from qvim_kit.submission.checking.installs import NotAnInstall, read_script


def checked(tmp_path, **parts):
    return check(write(filled(**parts), tmp_path))


@pytest.mark.parametrize(
    "code",
    [
        "x = 'a' * 10**10\ny = [0] * 10**10\nz = 10**10**10",
        "x = '%1000000000d' % 1\ny = f'{1:>1000000000}'\nz = '{:>1000000000}'.format(1)",
        "x = ('a',)\n" + "x = x + x\n" * 60,
        "x = 'a'\n" + "x = x + x\n" * 60 + "open(x)",
        "x = 'a'\n" + "x = f'{x}{x}{x}'\n" * 60,
        "x = 'a'\n" + "x = x.replace('a', x)\n" * 40,
        "def f(n):\n    return f(n + 1) + f(n + 2)\nf(0)",
        "".join(f"def f{n}(): f{n + 1}(); f{n + 1}(); f{n + 1}()\n" for n in range(30)) + "f0()",
        "x = [" + "'a', " * 20_000 + "]\nfor y in x:\n    for z in x:\n        open(y + z)",
        "x = {" + ", ".join(f"'{n}': open('{n}')" for n in range(500)) + "}",
        "x = 1 if a else 2\n" * 3_000,
        "(" * 150 + ")" * 150,
        "x = " + " + ".join(["'a'"] * 5_000),
        "x" + "[0]" * 3_000,
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 95)) + " " * 95 + "pass",
        "lambda: " * 300 + "0",
        "!pip install " + "a==1 " * 3_000,
        "%%time\n" * 50 + "x = 1",
        "exec('exec(\"exec(1)\")')\n" * 50,
        "x = '" + "{" * 5_000 + "'\n!{x}",
    ],
)
def test_nothing_takes_long_or_much(code, tmp_path):
    """No limit of time is asserted: without the checker's own limits these would never end."""
    assert isinstance(checked(tmp_path, set_up=code).errors, int)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_file_ends_in_a_traceback(data, tmp_path):
    content = bytearray(json.dumps(template()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content)))
        kind = data.draw(st.sampled_from(["cut", "put", "drop"]))
        if kind == "cut":
            del content[place:]
        elif kind == "put":
            content[place:place] = data.draw(st.binary(max_size=8))
        else:
            del content[place : place + data.draw(st.integers(1, 40))]
    path = tmp_path / "humming-birds_1.ipynb"
    path.write_bytes(content)
    assert str(check(path)) and check(path).summary()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_json_ends_in_a_traceback(data, tmp_path):
    notebook = template()
    for _ in range(data.draw(st.integers(1, 3))):
        holder = data.draw(
            st.sampled_from([notebook, *filter(None, map(_dict, notebook["cells"]))])
        )
        holder[data.draw(st.sampled_from(sorted(holder)))] = data.draw(JSON)
        if not isinstance(notebook.get("cells"), list):
            break
    assert str(check(write(notebook, tmp_path)))


def _dict(cell):
    return cell if isinstance(cell, dict) and cell else None


PIECES = """
import os;|os.chdir(|getattr(os, |'a'|)|(|[|]|{|}|f'{|}'|:|:;    |;|def f(x):;|class A:;|
lambda x: |!ls {|%cd |%%bash;|x = |x|.y|*|**|,|=|\\\\|"|'''|#|await |yield |return |for x in |if |
else:;|try:;|except:;|with |as |import |from |open(|Path(|/|'/home/me'|ROOT_PATH|$(|`|?|1e999|0x|
match x:;|case _:;|@|->|:=|global x;|del x;|exec('|')|~|~/|http://|é""".replace("\n", "").replace(
    ";", "\n"
)
PIECES = [*PIECES.split("|"), "\ue000", "\ud800", "\0", "\u202e", ";", "|", "\\"]
WORDS = "pip install a==1 -e -r ; && | $( ) ` \" ' \\ > < # = x {"


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=60))
def test_no_code_ends_in_a_traceback(tmp_path, code):
    problems = checked(tmp_path, set_up=code)
    str(problems).encode()
    assert problems.summary()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split(" "))))
def test_no_command_ends_in_a_traceback(words):
    for glue in (" ", ""):
        try:
            assert isinstance(read_script(glue.join(words)).unpinned, list)
        except NotAnInstall as error:
            assert str(error)
