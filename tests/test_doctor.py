"""The program git, which the doctor looks for; the rest of it is tested with the command."""

import os

import pytest

from qvim_kit import doctor


def program(folder, says, monkeypatch):
    """A program called git that says something, and no other programs."""
    path = folder / "git"
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.skipif(os.name == "nt", reason="its program is a shell script")
def test_git_is_a_program_that_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = doctor.check_git()
    assert not absent.ok and not absent.fatal and "git-scm.com" in absent.remedy
    program(tmp_path, "echo git version 9.9", monkeypatch)
    assert doctor.check_git().ok and "git version 9.9" in doctor.check_git().what
    program(tmp_path, "echo broken >&2; exit 1", monkeypatch)
    assert not doctor.check_git().ok and "does not run" in doctor.check_git().what


def test_without_git_nothing_else_is_blamed(tmp_path, monkeypatch):
    """GitPython cannot be imported then, and says so at length."""
    imported = []
    monkeypatch.setattr(doctor, "check_git", lambda: doctor.Finding(False, "git", "", False))
    monkeypatch.setattr(
        doctor, "check_import", lambda name: imported.append(name) or doctor.check_python()
    )
    assert not any(found.fatal and not found.ok for found in doctor.diagnose())
    assert "git" not in imported and "librosa" in imported


def test_what_an_import_says_is_cut_to_a_line(monkeypatch):
    def broken(name):
        raise ImportError("one\ntwo")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert doctor.check_import("soxr").what == "import soxr fails (one)"


def test_a_folder_that_is_being_made_is_no_data_set(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "data_folder", lambda: tmp_path)
    (tmp_path / ".qvim-mini-x" / "Items").mkdir(parents=True)
    assert "none yet" in doctor.found_data()[0].what
    (tmp_path / "mine" / "Items").mkdir(parents=True)
    assert doctor.found_data()[0].what == "data sets: mine"
