"""Is this machine ready? `qvim doctor`, and the first cells of each notebook.

Every fault comes with a remedy of one line. `packages` looks at what is installed, `folders` at
disks and data, `places` at where the notebooks' page comes from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from qvim_kit.doctor.findings import Finding
from qvim_kit.doctor.folders import check_caches, check_folder, found_data, found_weights
from qvim_kit.doctor.packages import (
    check_git,
    check_gpu,
    check_groups,
    check_import,
    check_loaded,
    check_python,
    check_torch_pair,
)
from qvim_kit.doctor.places import check_microphone
from qvim_kit.paths import cache_folder, data_folder

__all__ = ["Finding", "check_environment", "diagnose", "fast"]

LIBRARIES = ("librosa", "soundfile", "soxr", "pandas", "matplotlib")
PAGES = ("jupyterlab", "ipywidgets", "anywidget", "gdown")


def diagnose() -> Iterator[Finding]:
    """Look at Python, the torch pair, libraries, page, folders and data; each as it is found."""
    yield check_python()
    yield check_torch_pair()
    yield check_gpu()
    yield from map(check_import, (*LIBRARIES, *PAGES))
    yield (git := check_git())
    if git.ok:  # without the program, GitPython cannot be imported and would be blamed for it
        yield check_import("git")
    yield from check_groups()
    yield check_microphone()
    yield check_folder("data", data_folder())
    yield from found_data()
    yield check_folder("cache", cache_folder())
    yield found_weights()
    yield from check_caches()


def check_environment() -> None:
    """One of the first cells of each notebook: print what this runs on, stop where it cannot work.

    Raises `RuntimeError` with the remedies if something essential is broken.
    """
    # Told first: beside what is loaded of another version, nothing can be imported.
    findings = check_loaded() or [check_python(), check_torch_pair(), check_import("librosa")]
    broken = [str(finding) for finding in findings if finding.fatal and not finding.ok]
    if broken:
        raise RuntimeError("This environment cannot run the notebook:\n" + "\n".join(broken))
    mode = "fast mode (QVIM_FAST=1)" if fast() else "full mode"
    print(" · ".join([*(finding.what for finding in findings), mode]))


def fast() -> bool:
    """Whether ``QVIM_FAST`` asks for the short version of a notebook, as CI does."""
    return os.environ.get("QVIM_FAST", "0") not in ("", "0")
