"""Runs a command under bubblewrap: no network, a read-only system, one writable folder.

What the command sees: the file system without the home folder, /run and other people's /tmp,
read-only; its own processes only; no capabilities. That keeps an honest mistake and a curious
script in; it is no proof against a fault in the kernel of the operating system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from qvim_kit.submission.running.stages import StageError

HIDDEN = ("/tmp", "/var/tmp", "/run")  # sockets in /run lead out of the isolation
REMEDY = (
    "allow it to make user namespaces (Ubuntu 24.04: an AppArmor profile for bwrap, or "
    "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`; Debian: "
    "`sudo sysctl kernel.unprivileged_userns_clone=1`), or leave out --isolate"
)


def check_isolation() -> str:
    """The path of a bubblewrap that works here.

    Raises `StageError` for another system, without the program, or without the permission.
    """
    program = shutil.which("bwrap")
    if sys.platform != "linux" or program is None:
        where = "" if sys.platform == "linux" else f" (found {sys.platform}; it needs Linux)"
        remedy = "`sudo apt-get install bubblewrap`, or leave out --isolate"
        raise StageError("isolation", f"--isolate: there is no bubblewrap here{where}; {remedy}")
    probe = [program, *_walls(1 << 20), "--", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]
        raise StageError("isolation", f"--isolate: bubblewrap does not work here ({why}); {REMEDY}")
    return program


def isolated(
    program: str,
    command: list[str],
    writable: Iterable[Path],
    readable: Iterable[Path],
    memory: int,
) -> list[str]:
    """The command that runs ``command`` isolated.

    Args:
        program: bubblewrap, as `check_isolation` found it.
        command: what to run.
        writable: folders that it may change.
        readable: files and folders that it must see even where they lie in a hidden folder;
            Python's own are seen in any case. Within a writable folder they stay read-only.
        memory: bytes that its folders in memory may take.
    """
    shown = {(path.resolve(), "--ro-bind") for path in [*python_folders(), *readable]}
    shown |= {(path.resolve(), "--bind") for path in writable}
    binds = [
        argument
        for path, how in sorted(shown, key=lambda pair: (len(pair[0].parts), pair))
        if path.exists()
        for argument in (how, str(path), str(path))
    ]
    return [program, *_walls(memory), *_graphics(), *binds, "--", *command]


def python_folders() -> list[Path]:
    """Where this Python and what it imports lie."""
    import qvim_kit

    kit = Path(qvim_kit.__file__).parent
    folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, *filter(None, sys.path)]
    links = [Path(sys.executable).parent, Path(sys.executable).resolve().parent]
    found = [*map(Path, folders), *links, kit, kit.parent / "helpers.py"]
    return [path for path in dict.fromkeys(found) if path.exists() and path != Path("/")]


def _walls(memory: int) -> list[str]:
    hidden = [Path(folder) for folder in HIDDEN if Path(folder).is_dir()]
    home = Path.home()
    if home.is_dir() and home.resolve() != Path("/"):
        hidden.append(home)
    arguments = ["--ro-bind", "/", "/", "--dev", "/dev"]
    # Even without capabilities, root may write into a writable /proc/sys.
    arguments += ["--proc", "/proc", "--remount-ro", "/proc"]
    arguments += ["--size", str(memory), "--tmpfs", "/dev/shm"]
    for folder in dict.fromkeys(path.resolve() for path in hidden):
        arguments += ["--size", str(memory), "--tmpfs", str(folder)]
    arguments += ["--unshare-user-try", "--unshare-net", "--unshare-pid", "--unshare-ipc"]
    arguments += ["--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]
    return [*arguments, "--die-with-parent", "--new-session"]


def _graphics() -> list[str]:
    """The devices of graphics cards, which a new /dev does not have."""
    found = sorted(glob("/dev/nvidia*") + glob("/dev/dri") + glob("/dev/kfd"))
    return [argument for path in found for argument in ("--dev-bind", path, path)]


def environment(work: Path) -> dict[str, str]:
    """The environment of a run: a home of its own in ``work``, none of this user's settings.

    The kit's checkpoints are linked into the run's own cache, so that they need not be fetched
    again, and embeddings that another run left behind cannot be taken for this one's.
    """
    import site

    from qvim_kit.paths import REPOSITORY, cache_folder, in_checkout

    source, cache = cache_folder(), work / "cache"
    for name in ("home", "tmp", "cache"):
        (work / name).mkdir()
    for path in source.iterdir() if source.is_dir() else ():
        if path.is_file() and path.suffix != ".part":
            (cache / path.name).symlink_to(path)
    own = ("XDG_", "JUPYTER_", "IPYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    if in_checkout() and not _installed():
        kept["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
        )
    return kept | {
        "HOME": str(work / "home"),
        "TMPDIR": str(work / "tmp"),
        "QVIM_CACHE": str(cache),
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONDONTWRITEBYTECODE": "1",
        **({"USERPROFILE": str(work / "home")} if os.name == "nt" else {}),
    }


def _installed() -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return bool(distribution("qvim-kit"))
    except PackageNotFoundError:
        return False
