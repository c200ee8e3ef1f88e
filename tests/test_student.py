"""`qvim student`: copies without solutions, which stop at their first exercise; nothing is lost."""

import ast
import json
from pathlib import Path

import nbformat
import pytest

from qvim_kit.cli import main
from qvim_kit.exercises import EXERCISES, NotYet
from qvim_kit.exercises import copies as student
from qvim_kit.exercises.copies import blanked, copy_for_student, student_version
from qvim_kit.tutorial import notebooks

NUMBERED = [path for path in notebooks() if path.name[0].isdigit()]
TAUGHT = [path for path in NUMBERED if not path.name.startswith("05")]  # 05 is the template
CHECK = "check("


def cells(path, version):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook = student_version(notebook) if version == "student" else notebook
    found = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        found.append((cell["cell_type"], "".join(cell["source"]), tags))
    return found


def exercise_cells(path, version):
    """(solution cell, the call of check after it), in order."""
    tag = "solution" if version == "solved" else "exercise"
    sources = [(source, tags) for kind, source, tags in cells(path, version) if kind == "code"]
    pairs = []
    for (source, tags), (following, _) in zip(sources, sources[1:], strict=False):
        if tag in tags:
            call = next(line for line in following.splitlines() if line.startswith(CHECK))
            pairs.append((source, call))
    return pairs


def namespace(path):
    """What the notebook has imported by the time of its exercises, and nothing else of it."""
    space = {}
    for kind, source, _ in cells(path, "solved"):
        if kind == "code":
            tree = ast.parse(source)
            tree.body = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
            exec(compile(tree, path.name, "exec"), space)
    return space


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_a_copy_has_no_link_to_the_solved_notebook(path):
    text = {v: "".join(source for _, source, _ in cells(path, v)) for v in ("solved", "student")}
    assert f"blob/main/notebooks/{path.name}" in text["solved"]
    assert path.name not in text["student"] and "colab" not in text["student"].lower().replace(
        "as in colab", ""
    )


def test_every_exercise_is_in_one_notebook_and_every_notebook_has_one():
    names = []
    for path in TAUGHT:
        own = [
            ast.parse(call).body[0].value.args[0].value
            for _, call in exercise_cells(path, "solved")
        ]
        assert own, path
        names += own
    assert sorted(names) == sorted(EXERCISES)


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_the_task_is_told_before_the_cell_with_every_name_of_the_signature(path):
    found = cells(path, "solved")
    for (kind, text, _), (_, source, tags) in zip(found, found[1:], strict=False):
        if "solution" not in tags:
            continue
        assert kind == "markdown" and "Your turn" in text, source
        for function in student._functions(ast.parse(source)):
            assert f"{function.name}({', '.join(a.arg for a in function.args.args)})" in text
            assert ast.get_docstring(function), function.name


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_solutions_are_right_and_each_student_cell_is_an_open_turn(path, capsys):
    space = namespace(path)
    for source, call in exercise_cells(path, "solved"):
        exec(source, space)
        exec(call, space)
        assert capsys.readouterr().out.startswith("Right: ")
    for source, call in exercise_cells(path, "student"):
        exec(source, space)
        with pytest.raises(NotYet, match="Your turn: .* is not written yet"):
            exec(call, space)


@pytest.mark.parametrize("path", TAUGHT, ids=lambda path: path.stem)
def test_nothing_before_its_check_uses_what_the_student_writes(path):
    """So that a student version stops at the check of its first exercise, and not before."""
    waiting = set()
    for kind, source, tags in cells(path, "student"):
        if kind != "code":
            continue
        tree = ast.parse(source)
        if "exercise" in tags:
            waiting |= {node.name for node in tree.body if hasattr(node, "name")}
            continue
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & waiting
        first = next(
            (n for n in tree.body if not isinstance(n, (ast.Import, ast.ImportFrom))), None
        )
        assert not used or ast.unparse(first).startswith(CHECK), source
        waiting -= used
    assert not waiting


def test_the_quickest_student_version_runs_up_to_its_first_exercise_and_stops(tmp_path):
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    copy_for_student(tmp_path)
    path = tmp_path / "03_baselines.ipynb"
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    with pytest.raises(CellExecutionError) as stopped:
        client.execute()
    assert stopped.value.ename == "NotYet"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    ran = [cell for cell in code if cell.execution_count]
    assert 'check("mrr", mrr)' in ran[-1].source and "exercise" in ran[-2].metadata.tags
    (output,) = [o for o in ran[-1].outputs if o.output_type == "error"]
    assert len(output.traceback) == 1 and output.traceback[0].startswith("Your turn: mrr")


@pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)
def test_no_line_of_a_solution_is_left_in_a_copy(path):
    copied = "\n".join(source for _, source, _ in cells(path, "student"))
    for _, source, tags in cells(path, "solved"):
        if "solution" in tags:
            kept = blanked(source).splitlines()
            gone = [line for line in source.splitlines() if line.strip() and line not in kept]
            assert gone and not any(line in copied.splitlines() for line in gone)


def test_the_template_and_the_submissions_are_copied_as_they_are(tmp_path):
    for one in copy_for_student(tmp_path):
        name = one.path.relative_to(tmp_path)
        if name.name.startswith("05") or name.parent.name == "submissions":
            original = json.loads((notebooks()[0].parent / name).read_text(encoding="utf-8"))
            assert json.loads(one.path.read_text(encoding="utf-8"))["cells"] == original["cells"]


def test_links_lead_to_something_that_is_copied_too(tmp_path):
    import re

    for one in copy_for_student(tmp_path):
        for cell in json.loads(one.path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                for link in re.findall(r"\]\((?!http)([^)#]+)", "".join(cell["source"])):
                    assert (one.path.parent / link).exists(), (one.path, link)


def test_blanking_keeps_signature_docstring_imports_and_decorators():
    source = '''import numpy as np


@decorated
class Both(Base):
    """Kept."""

    p: float = 0.5

    def one(self, x: int) -> int:
        """Kept, too,

        all of it.
        """
        secret = 1

        def inner():
            return secret

        return inner()

    def two(self):
        return 2  # secret


def three(a, *, b=2):
    # secret
    return a
'''
    assert blanked(source).splitlines() == [
        *source.splitlines()[:14],
        '        raise NotImplementedError("your turn")',
        "",
        "    def two(self):",
        '        raise NotImplementedError("your turn")',
        "",
        "",
        "def three(a, *, b=2):",
        '    raise NotImplementedError("your turn")',
    ]


@pytest.mark.parametrize("source", ["x = 1", "def f(x): return x"])
def test_blanking_refuses_what_it_could_not_blank(source):
    with pytest.raises(ValueError, match="solution cell"):
        blanked(source)


@pytest.fixture
def one_notebook(tmp_path, monkeypatch):
    """A clone with one notebook, 01.ipynb, which the test may change, and a folder for copies."""
    monkeypatch.setattr(student, "REPOSITORY", tmp_path / "clone")
    original = tmp_path / "clone" / "notebooks" / "01.ipynb"
    original.parent.mkdir(parents=True)
    monkeypatch.setattr(student, "notebooks", lambda: [original])

    def write(body):
        cell = nbformat.v4.new_code_cell(f"def f():\n    {body}", metadata={"tags": ["solution"]})
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), original)

    write("return 1")
    return write, tmp_path / "mine"


def change(path, **fields):
    notebook = json.loads(path.read_text())
    notebook["cells"][0].update(fields)
    path.write_text(json.dumps(notebook))


OUTPUT = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]


@pytest.mark.parametrize("fields", [{"source": "def f():\n    return 2"}, {"outputs": OUTPUT}])
def test_what_was_written_or_run_is_never_touched(one_notebook, fields, capsys):
    write, folder = one_notebook
    assert main(["student", str(folder)]) == 0
    assert "written:\n  01.ipynb" in capsys.readouterr().out
    change(folder / "01.ipynb", **fields)
    before = (folder / "01.ipynb").read_bytes()
    write("return 3")
    assert main(["student", str(folder)]) == 0
    out = capsys.readouterr().out
    assert (folder / "01.ipynb").read_bytes() == before
    assert "kept, with what you wrote or ran in it:\n  01.ipynb" in out
    assert "rename or delete it and run this again" in out
    (folder / "01.ipynb").rename(folder / "mine.ipynb")
    assert main(["student", str(folder)]) == 0 and (folder / "01.ipynb").exists()
    assert (folder / "mine.ipynb").read_bytes() == before


def test_an_untouched_copy_is_left_or_renewed_with_the_kits(one_notebook, capsys):
    write, folder = one_notebook
    main(["student", str(folder)])
    change(folder / "01.ipynb", metadata={"tags": ["exercise"], "scrolled": True})  # by an editor
    before = (folder / "01.ipynb").read_bytes()
    main(["student", str(folder)])
    assert (folder / "01.ipynb").read_bytes() == before
    assert "there already, untouched:\n  01.ipynb" in capsys.readouterr().out
    write("'''New.'''\n    return 1")
    main(["student", str(folder)])
    assert "renewed" in capsys.readouterr().out and "New." in (folder / "01.ipynb").read_text()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 3}', b"\xff\xfe", b'{"cells": []}'])
def test_another_file_of_that_name_is_kept(one_notebook, content):
    _, folder = one_notebook
    folder.mkdir()
    (folder / "01.ipynb").write_bytes(content)
    assert [one.state for one in copy_for_student(folder)] == ["kept"]
    assert (folder / "01.ipynb").read_bytes() == content


def test_folders_that_cannot_be_are_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["student", str(tmp_path / "file")]) == 1
    assert "found a file, expected a folder" in capsys.readouterr().err
    assert main(["student", str(notebooks()[0].parent)]) == 1
    assert "the notebooks themselves are there" in capsys.readouterr().err
    assert not list(Path(notebooks()[0].parent).glob("*.part"))
