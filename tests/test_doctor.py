"""Each fault that the doctor knows, made; and what it says of a machine that has none."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from qvim_kit import doctor
from qvim_kit.cli import main
from qvim_kit.doctor import packages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent


def program(folder, name, says, monkeypatch):
    """A program that says something, and no other programs."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_this_environment_is_healthy(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "torch 2.11" in out and "FAIL" not in out and "GPU" in out and "microphone" in out
    assert out.endswith("Ready: nothing that the notebooks need is missing.\n")


def test_findings_are_told_as_they_come(monkeypatch, capsys):
    """Torch may take half a minute to load for the first time."""

    def slow():
        assert "Python 3." in capsys.readouterr().out
        return doctor.Finding(False, "broken", "mend it")

    monkeypatch.setattr(doctor, "check_torch_pair", slow)
    assert main(["doctor"]) == 1
    assert "FAIL  broken\n      → mend it" in (out := capsys.readouterr().out)
    assert "Not ready" in out


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_a_broken_pair(monkeypatch, capsys, error):
    def broken(name):
        if name == "torchaudio":
            raise error("libtorchaudio.so: undefined symbol")
        return real(name)

    real = packages.importlib.import_module
    monkeypatch.setattr(packages.importlib, "import_module", broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "undefined symbol" in out and packages.BUILD_REMEDY in out
    with pytest.raises(RuntimeError, match='--force-reinstall "torch==2.11.'):
        doctor.check_environment()


@pytest.mark.parametrize(("torch", "torchaudio"), [("2.15.0", "2.11.0"), ("2.11.0", None)])
def test_versions_that_do_not_match(monkeypatch, torch, torchaudio):
    versions = {"torch": torch, "torchaudio": torchaudio}
    monkeypatch.setattr(packages, "installed", versions.get)
    finding = packages.check_torch_pair()
    assert not finding.ok and "not a matching pair" in finding.what
    assert finding.remedy == packages.TORCH_REMEDY


def test_a_local_build_of_the_right_version_matches(monkeypatch):
    monkeypatch.setattr(
        packages, "installed", lambda name: "2.11.0+cpu" if name == "torch" else "2.11.0"
    )
    assert packages.check_torch_pair().ok


@pytest.mark.parametrize(
    ("torch", "torchaudio", "ok"),
    [
        ("2.11.0+cu130", "2.11.0+cpu", False),
        ("2.11.0+cu128", "2.11.0+cu128", True),
        ("2.11.0", "2.11.0+cpu", True),  # conda's builds do not say
    ],
)
def test_two_builds_of_one_version_are_no_pair(monkeypatch, capsys, torch, torchaudio, ok):
    builds = {"torch": torch, "torchaudio": torchaudio}
    monkeypatch.setattr(packages, "installed", lambda name: "2.11.0")
    with monkeypatch.context() as patch:
        patch.setattr(
            packages.importlib, "import_module", lambda n: SimpleNamespace(__version__=builds[n])
        )
        finding = packages.check_torch_pair()
    assert finding.ok == ok and (ok or finding.remedy == packages.BUILD_REMEDY)
    assert ok or "torch for cu130, torchaudio for cpu" in finding.what
    monkeypatch.setattr(doctor, "check_torch_pair", lambda: finding)
    monkeypatch.setattr(doctor, "check_loaded", list)
    doctor.check_environment()  # a GPU's torch beside a CPU's torchaudio works, for the notebooks
    assert finding.what in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loaded", "found", "stale"),
    [
        ("2.13.0+cu128", "2.11.0+cu128", True),
        ("2.11.0+cu128", "2.11.0+cpu", True),
        ("2.11.0+cu130", "2.11.0", False),  # as PyPI calls it
        ("2.11.0", "2.11.0", False),
        ("2.11.0", None, False),
    ],
)
def test_a_pair_that_was_changed_under_the_kernel_asks_for_a_restart(
    monkeypatch, loaded, found, stale
):
    """As after the cell that installs, where torch had been loaded before it."""
    monkeypatch.setattr(packages, "SWAPPED", ("torch",))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__=loaded))
    monkeypatch.setattr(packages, "installed", lambda name: found)
    findings = packages.check_loaded()
    assert bool(findings) == stale
    if stale:
        with pytest.raises(RuntimeError, match="is loaded.*\n.*restart the kernel .in Colab"):
            doctor.check_environment()


def test_the_first_cell_says_what_it_runs_on(monkeypatch, capsys):
    monkeypatch.setenv("QVIM_FAST", "1")
    doctor.check_environment()
    out = capsys.readouterr().out
    assert "torch 2.11" in out and "fast mode" in out
    monkeypatch.setenv("QVIM_FAST", "0")
    assert not doctor.fast()


@pytest.mark.skipif(os.name == "nt", reason="its program is a shell script")
def test_git_is_a_program_that_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = packages.check_git()
    assert not absent.ok and not absent.fatal and "git-scm.com" in absent.remedy
    program(tmp_path, "git", "echo git version 9.9", monkeypatch)
    assert packages.check_git().ok and "git version 9.9" in packages.check_git().what
    program(tmp_path, "git", "echo broken >&2; exit 1", monkeypatch)
    assert not packages.check_git().ok and "does not run" in packages.check_git().what


def test_without_git_nothing_else_is_blamed(monkeypatch):
    """GitPython cannot be imported then, and says so at length."""
    imported = []
    monkeypatch.setattr(doctor, "check_git", lambda: doctor.Finding(False, "git", "", False))
    monkeypatch.setattr(
        doctor, "check_import", lambda name: imported.append(name) or packages.check_python()
    )
    assert not any(found.fatal and not found.ok for found in doctor.diagnose())
    assert "git" not in imported and "librosa" in imported


@pytest.mark.parametrize(("cloned", "remedy"), [(True, "-e ."), (False, "pip install -U soxr")])
def test_an_import_that_fails_has_one_line_and_a_remedy_that_can_be_done(
    monkeypatch, cloned, remedy
):
    def broken(name):
        raise ImportError("one\ntwo")

    monkeypatch.setattr(packages, "in_checkout", lambda: cloned)
    monkeypatch.setattr(packages.importlib, "import_module", broken)
    finding = packages.check_import("soxr")
    assert finding.what == "import soxr fails (one)" and remedy in finding.remedy


def test_groups_are_those_of_pyproject_and_told_where_they_are_missing(monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {
        name: [Requirement(line).name.replace("-", "_") for line in lines]
        for name, lines in project["optional-dependencies"].items()
        if name not in ("test", "loggers")  # for developers; Lightning asks for loggers itself
    }
    assert {name: sorted(modules) for name, (_, modules) in packages.GROUPS.items()} == {
        name: sorted(modules) for name, modules in groups.items()
    }
    monkeypatch.setattr(
        packages.importlib.util, "find_spec", lambda name: None if name == "onnx" else 1
    )
    whole, fast = packages.check_groups()
    assert whole.what == "optional groups: demo, lance, language, clotho"
    assert not fast.ok and not fast.fatal and fast.what.endswith("no onnx")
    assert fast.remedy == 'python -m pip install "qvim-kit[fast]"'


@pytest.mark.skipif(os.name == "nt", reason="its program is a shell script")
@pytest.mark.parametrize(("built", "said"), [("12.8", "CUDA 12.8"), (None, "CPUs alone")])
def test_a_gpu_that_torch_does_not_see(tmp_path, monkeypatch, built, said):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.check_gpu() == doctor.Finding(True, "GPU: none, using the CPU")
    program(tmp_path, "nvidia-smi", "exit 9", monkeypatch)
    finding = packages.check_gpu()
    assert not finding.ok and not finding.fatal and said in finding.what
    assert "whl/cu128" in finding.remedy
