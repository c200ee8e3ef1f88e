"""Colab and Binder: every address is that of pyproject.toml, and what they install is one pair."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
BINDER = ROOT / ".binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
ADDRESS = REPOSITORY.removeprefix("https://github.com/")
# 05 is the challenge's template, whose cells are not ours.
OPENED = [p for p in sorted((ROOT / "notebooks").glob("*.ipynb")) if not p.name.startswith("05")]
COLAB = f"https://colab.research.google.com/github/{ADDRESS}/blob/main/notebooks/"
HUB = f"https://mybinder.org/v2/gh/{ADDRESS}/main?labpath=notebooks/"
GPU = ["GPU 0: Tesla T4 (UUID: GPU-1)"]
NO_GPU = ["/bin/bash: line 1: nvidia-smi: command not found"]


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def install_cell(path):
    (cell,) = [c for c in cells(path) if "install" in c["metadata"].get("tags", [])]
    return "".join(cell["source"])


class Shell:
    """IPython's, but that nothing is run."""

    def __init__(self, said):
        self.said, self.ran = said, []

    def getoutput(self, command):
        assert command == "nvidia-smi -L"
        return self.said

    def run_line_magic(self, name, line):
        self.ran.append((name, *line.split()))


@pytest.fixture(scope="module")
def mover():
    """The script .ci/address.py."""
    spec = importlib.util.spec_from_file_location("address", ROOT / ".ci" / "address.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", OPENED, ids=lambda path: path.stem)
def test_each_notebook_links_to_itself_and_installs_before_it_imports(path):
    title, links, *_ = [line for line in "".join(cells(path)[0]["source"]).splitlines() if line]
    assert title.startswith("# ")
    assert f"]({COLAB}{path.name})" in links and f"]({HUB}{path.name})" in links
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert code[0]["metadata"]["tags"] == ["install"]
    assert "check_environment()" in "".join(code[1]["source"])  # asks for a restart if need be
    assert install_cell(path) == install_cell(OPENED[0])
    assert len(install_cell(path).splitlines()) <= 6


def test_the_cell_does_nothing_where_the_kit_is(capsys):
    exec(install_cell(OPENED[0]), {})  # without IPython, too
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("said", "pair"), [(GPU, "cuda"), (NO_GPU, "cpu"), ([], "cpu")])
def test_the_cell_installs_the_kit_and_one_pair_where_it_is_not(monkeypatch, said, pair):
    monkeypatch.setitem(sys.modules, "qvim_kit", None)  # cannot be imported
    shell = Shell(said)
    exec(install_cell(OPENED[0]), {"get_ipython": lambda: shell})
    assert shell.ran == [
        ("pip", "install", "-r", f"{REPOSITORY}/raw/main/.binder/{pair}.txt", f"git+{REPOSITORY}")
    ]
    assert (BINDER / f"{pair}.txt").is_file()


def test_the_readme_has_both_badges_of_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in OPENED:
        (row,) = [line for line in readme.splitlines() if f"(notebooks/{path.name})" in line]
        badges = dict(re.findall(r"\[!\[([^]]+)\]\(https://[^)]+\.svg\)\]\(([^)]+)\)", row))
        assert badges == {"Open in Colab": COLAB + path.name, "Open in Binder": HUB + path.name}


@pytest.mark.parametrize(("name", "build"), [("cpu", "cpu"), ("cuda", "cu128")])
def test_pairs_are_of_one_build_that_the_kit_allows(name, build):
    lines = (BINDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert lines.pop(0) == f"--extra-index-url https://download.pytorch.org/whl/{build}"
    wanted = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
    versions = set()
    for line in lines[:2]:
        one = Requirement(line)
        (pin,) = one.specifier
        assert pin.operator == "==" and wanted[one.name].specifier.contains(pin.version)
        versions.add(Version(pin.version))
    assert [Requirement(line).name for line in lines[:2]] == ["torch", "torchaudio"]
    (version,) = versions
    assert version.local == build
    groups = PROJECT["optional-dependencies"]
    assert sorted(lines[2:]) == sorted(groups["fast"] + groups["language"])


def test_binder_installs_this_clone_as_the_constraints_were_tested():
    assert not (ROOT / "binder").exists()  # repo2docker refuses both folders
    lines = (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert lines == ["-c ../constraints.txt", "-r cpu.txt", "-e ."]
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert {*re.findall(r"python_version == '(.*)'", constraints)} == {python}
    torch = re.search(r"^torch==(\S+)", constraints, re.MULTILINE)[1]
    assert f"\ntorch=={torch}+cpu\n" in (BINDER / "cpu.txt").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="files have no executable bit")
def test_what_binder_runs_are_commands_of_the_kit():
    from qvim_kit.cli import _parser

    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK) and not subprocess.run(["bash", "-n", script]).returncode
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/bin/bash" and "set -e" in lines
    commands = [line.split() for line in lines if line.startswith("qvim ")]
    assert len(commands) == 2
    for command in commands:
        _parser().parse_args(command[1:])  # SystemExit for what is none


def test_a_fork_changes_every_address_and_nothing_else(mover, tmp_path):
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    after = {
        path: old.replace(f"/{ADDRESS}".encode(), b"/someone/their.fork")
        for path, old in before.items()
    }
    changed = mover.move(tmp_path, "someone/their.fork")
    assert mover.address(tmp_path) == "someone/their.fork"
    assert {path: path.read_bytes() for path in before} == after
    assert changed == sorted(path for path in before if before[path] != after[path])
    assert {*changed} > {path for path in before if b'"install"' in before[path]}
    assert mover.move(tmp_path, ADDRESS) == changed  # and back
    assert {path: path.read_bytes() for path in before} == before


def test_an_address_that_only_begins_like_ours_is_another(mover, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    others = f"{REPOSITORY}-else, https://gitlab.com/{ADDRESS}, {ADDRESS}\r\n"
    (tmp_path / "README.md").write_bytes(f"{others}{REPOSITORY}.git. {REPOSITORY}".encode())
    mover.move(tmp_path, "a/b")
    expected = f"{others}https://github.com/a/b.git. https://github.com/a/b"
    assert (tmp_path / "README.md").read_bytes() == expected.encode()


@pytest.mark.parametrize(
    "wrong", ["", "alone", "a/b/c", "https://github.com/a/b", "a/b.git", "a b/c"]
)
def test_what_is_no_address_changes_nothing(mover, tmp_path, wrong):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with pytest.raises(ValueError, match="expected OWNER/NAME"):
        mover.move(tmp_path, wrong)
    assert (tmp_path / "pyproject.toml").read_bytes() == (ROOT / "pyproject.toml").read_bytes()


def test_the_command_says_what_it_is_now_and_fails_in_one_line(mover, capsys):
    assert mover.main([]) == 1
    assert capsys.readouterr().err == f"address.py: expected OWNER/NAME; now it is {ADDRESS}\n"
