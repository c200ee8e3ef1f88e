"""Is this machine ready? `qvim doctor`, and the first cell of each notebook.

Every finding comes with a remedy of one line.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from qvim_kit.paths import cache_folder, data_folder

TORCH_REMEDY = 'python -m pip install "torch==2.11.*" "torchaudio==2.11.*"'
# Where the versions are right and the builds are not, as a CPU-only torch, pip sees nothing to do.
BUILD_REMEDY = TORCH_REMEDY.replace("install", "install --force-reinstall")
INSTALL_REMEDY = "python -m pip install -c constraints.txt -e . (in the folder of the clone)"
# What broken native libraries raise at import; ImportError is only the mildest.
IMPORT_FAILURES = (ImportError, OSError, RuntimeError, AttributeError)


class Finding(NamedTuple):
    """One line of the diagnosis; a remedy where something is wrong."""

    ok: bool
    what: str
    remedy: str = ""
    fatal: bool = True  # whether the notebooks cannot run without it

    def __str__(self) -> str:
        mark = "ok" if self.ok else "FAIL" if self.fatal else "note"
        return f"{mark:4}  {self.what}" + (f"\n      → {self.remedy}" if self.remedy else "")


def diagnose() -> list[Finding]:
    """Look at Python, the torch pair, audio and notebook libraries, folders and data sets."""
    findings = [check_python(), check_torch_pair()]
    findings += [check_import(name) for name in ("librosa", "soundfile", "soxr", "matplotlib")]
    findings += [check_import(name) for name in ("jupyterlab", "ipywidgets", "gdown")]
    # Without the program, GitPython cannot be imported and would be blamed for it.
    findings += [git] if not (git := check_git()).ok else [git, check_import("git")]
    findings += [check_folder("data", data_folder()), check_folder("cache", cache_folder())]
    return findings + [check_gpu(), *found_data(), *found_weights()]


def check_environment() -> None:
    """The first cell of each notebook: print what this runs on, stop where it cannot work.

    Raises `RuntimeError` with the remedies if something essential is broken.
    """
    findings = [check_python(), check_torch_pair(), check_import("librosa")]
    broken = [str(finding) for finding in findings if not finding.ok]
    if broken:
        raise RuntimeError("This environment cannot run the notebook:\n" + "\n".join(broken))
    mode = "fast mode (QVIM_FAST=1)" if fast() else "full mode"
    print(" · ".join([*(finding.what for finding in findings), mode]))


def fast() -> bool:
    """Whether ``QVIM_FAST`` asks for the short version of a notebook, as CI does."""
    return os.environ.get("QVIM_FAST", "0") not in ("", "0")


def check_python() -> Finding:
    """Python 3.10 or newer."""
    ok = sys.version_info >= (3, 10)
    remedy = "" if ok else "install Python 3.10 or newer and set up a new environment with it"
    return Finding(ok, f"Python {platform.python_version()}", remedy)


def check_torch_pair() -> Finding:
    """torch and torchaudio of one minor version, both of which can be imported."""
    versions = {name: _version(name) for name in ("torch", "torchaudio")}
    what = " with ".join(f"{name} {found or 'missing'}" for name, found in versions.items())
    minor = {(found or name).split("+")[0].rsplit(".", 1)[0] for name, found in versions.items()}
    if len(minor) > 1:
        return Finding(False, f"{what}: not a matching pair", TORCH_REMEDY)
    for name in versions:
        try:
            importlib.import_module(name)
        except IMPORT_FAILURES as error:
            what = f"{what}: import {name} fails ({_first_line(error)})"
            return Finding(False, what, BUILD_REMEDY)
    return Finding(True, what)


def check_import(name: str) -> Finding:
    """One package that the kit depends on."""
    distribution = {"git": "GitPython"}.get(name, name)
    try:
        importlib.import_module(name)
    except IMPORT_FAILURES as error:
        return Finding(False, f"import {name} fails ({_first_line(error)})", INSTALL_REMEDY)
    return Finding(True, f"{distribution} {_version(distribution)}")


def check_git() -> Finding:
    """The program, which `helpers.git_clone_checkout` runs; the package GitPython is another."""
    program = shutil.which("git")
    if program is None:
        remedy = "install git (https://git-scm.com) to clone repositories; all else works"
        return Finding(False, "git: there is no such program", remedy, fatal=False)
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30)
        said = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if not said.startswith("git version"):
        remedy = "install git again (https://git-scm.com)"
        return Finding(False, f"{program} does not run", remedy, fatal=False)
    return Finding(True, f"{said} ({program})")


def check_folder(kind: str, folder: Path) -> Finding:
    """A folder of the kit's that can be written, on a disk with room."""
    variable = f"QVIM_{kind.upper()}"
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        remedy = f"set {variable} to a folder that you may write to"
        return Finding(False, f"{kind} folder {folder} cannot be written", remedy)
    free = shutil.disk_usage(existing).free / 1e9
    remedy = "" if free > 1 else f"make room, or set {variable} to a folder on a larger disk"
    return Finding(free > 1, f"{kind} folder {folder} ({free:.0f} GB free)", remedy, fatal=False)


def check_gpu() -> Finding:
    """Whether torch sees a GPU; nothing here needs one."""
    try:
        import torch

        found = torch.cuda.get_device_name() if torch.cuda.is_available() else "none, using the CPU"
    except IMPORT_FAILURES:
        found = "unknown, as torch does not work"
    return Finding(True, f"GPU: {found}")


def found_data() -> list[Finding]:
    """The data sets in the data folder."""
    folder = data_folder()
    # What begins with a dot is being made, or was left by a run that was killed.
    found = sorted(path.name for path in folder.glob("[!.]*") if (path / "Items").is_dir())
    if found:
        return [Finding(True, f"data sets: {', '.join(found)}")]
    return [Finding(False, "data sets: none yet", "qvim data mini", fatal=False)]


def found_weights() -> list[Finding]:
    """The checkpoints in the cache folder."""
    found = sorted(path.name for path in cache_folder().glob("*.pt"))
    if found:
        return [Finding(True, f"checkpoints: {', '.join(found)}")]
    remedy = f"they download on first use; offline, put mn04_as_mAP_432.pt into {cache_folder()}"
    return [Finding(False, "checkpoints: none yet", remedy, fatal=False)]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
