"""A clone of a public repository at exactly one commit, and whether a folder is that."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from pathlib import Path

from qvim_kit.downloads.failures import DownloadError, in_words, offline
from qvim_kit.downloads.git_alone import GitError, run_git
from qvim_kit.downloads.safety import branch_problem, move, staging, url_problem
from qvim_kit.wording import counted

BYTE_CODE = re.compile(r"(.*/)?__pycache__/[^/]+\.pyc")
LINK, SUBMODULE = "120000", "160000"  # modes in git's index
POINTER = b"version https://git-lfs.github.com/spec/"  # begins what stands in for a file in LFS
Index = dict[str, tuple[str, str]]  # name → mode, hash of the content


def clone(
    url: str, folder: str | Path, branch: str, commit: str, *, _allow_local: bool = False
) -> Path:
    """A clone of a public repository in ``folder``, at exactly one commit of one branch.

    The clone is made beside the folder, checked and moved. A folder that exists is accepted
    without any network if it is a clone at that commit with nothing changed or added (Python's
    byte code, and what the repository's own .gitignore names, aside). Submodules are not fetched,
    and neither hooks nor filters run: files in Git LFS stay pointers, of which a warning tells.
    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        url: https, public, without user name.
        folder: missing, empty or such a clone.
        branch: a branch that contains the commit.
        commit: all 40 hexadecimal digits.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the clone cannot be had or the folder holds something else.

    >>> clone(url, "EfficientAT", "main", "0123456789abcdef" * 2 + "01234567")  # doctest: +SKIP
    """
    problems = [branch_problem(branch), None if _allow_local else url_problem(url, local=False)]
    if not re.fullmatch("[0-9a-fA-F]{40}", commit):
        problems.append(f"commit is {commit!r}; expected all 40 hexadecimal digits")
    if any(problems):
        raise ValueError(f"cannot clone {url!r}: " + "; ".join(filter(None, problems)))
    folder, commit = Path(folder).expanduser().resolve(), commit.lower()
    try:
        if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
            check_clone(folder, commit)
        elif offline():
            raise OSError("QVIM_OFFLINE is set")
        else:
            with staging(folder.parent) as stage:
                clone_commit(stage, url, branch, commit, "https:file" if _allow_local else "https")
                if folder.exists():
                    folder.rmdir()
                move(stage / "clone", folder)
    except Exception as error:
        raise DownloadError(
            f"{url} could not be cloned: {in_words(error, url)}. If {folder} is there, "
            f"move or delete it; to clone by hand, run: git clone -b {branch} {url} {folder}; "
            f"git -C {folder} checkout {commit}. Then run again"
        ) from error
    return folder


def clone_commit(stage: Path, url: str, branch: str, commit: str, protocols: str) -> None:
    """Clone into ``stage / "clone"`` and check out one commit of one branch.

    Raises `OSError`, also for a commit that is not on the branch.
    """
    options = ("--no-checkout", "--single-branch", "--no-tags", "--no-recurse-submodules")
    options += ("--template=", "--branch", branch)
    run_git(stage, "clone", "--quiet", *options, "--", url, "clone", protocols=protocols)
    folder = stage / "clone"
    try:
        run_git(folder, "merge-base", "--is-ancestor", commit, f"refs/remotes/origin/{branch}")
    except GitError as error:
        raise OSError(f"commit {commit} is not on a branch called {branch!r}") from error
    run_git(folder, "checkout", "--quiet", "--detach", commit)
    pointers = [name for name in check_clone(folder, commit) if _is_pointer(folder / name)]
    if pointers:
        warnings.warn(
            f"{url}: only pointers were cloned of {counted(len(pointers), 'file')} in Git LFS, "
            f"such as {pointers[0]}. Download those that you need with wget_download",
            stacklevel=4,
        )


def check_clone(folder: Path, commit: str) -> list[str]:
    """The files of a clone at that commit; `OSError` unless it is one, with nothing changed.

    Files are compared with the commit by an index and by settings of our own, as those in the
    folder may hide changes or name programs. What has been added counts, too, but for byte code
    and what the repository's own .gitignore names.
    """
    its = folder / ".git"
    if its.is_symlink() or not its.is_dir():
        raise OSError(f"{folder} exists and is not a git clone")
    with staging(folder.parent) as stage:
        head = run_git(stage, "rev-parse", "--verify", "HEAD", GIT_DIR=its).strip()
        if head != commit:
            raise OSError(f"{folder} is at commit {head}, expected {commit}")
        run_git(stage, "init", "--quiet", "--template=", "own")
        (stage / "own" / ".git" / "HEAD").write_text(f"{commit}\n")
        own = {"GIT_DIR": stage / "own" / ".git", "GIT_OBJECT_DIRECTORY": its / "objects"}
        own["GIT_WORK_TREE"] = folder
        run_git(stage, "read-tree", commit, **own)
        entries = [entry.split("\t", 1) for entry in _names(folder, own, "--stage")]
        index = {name: (entry.split()[0], entry.split()[1]) for entry, name in entries}
        if changed := _changed(folder, own, index) + _led_astray(folder, index):
            count = counted(len(changed), "changed or added file")
            raise OSError(f"{folder} holds {count}: {', '.join(changed[:5])}")
    return list(index)


def _names(folder: Path, own: dict[str, Path], *options: str) -> list[str]:
    return list(filter(None, run_git(folder, "ls-files", "-z", *options, **own).split("\0")))


def _changed(folder: Path, own: dict[str, Path], index: Index) -> list[str]:
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    told = run_git(folder, "status", *options, "--ignore-submodules=all", **own).split("\0")
    changed = []
    for state, name in [(line[:2].strip(), line[3:]) for line in told if line]:
        byte_code = state == "??" and BYTE_CODE.fullmatch(name)
        # A file stored with other line ends than its attributes ask for is changed to git at once.
        stored_so = state == "M" and _hash(folder / name) == index[name][1]
        if not byte_code and not stored_so:
            changed.append(name)
    # An added .gitignore can leave out itself and all that lies beside it.
    return changed + _names(folder, own, "--others", "--", ":(glob)**/.gitignore")


def _led_astray(folder: Path, index: Index) -> list[str]:
    """Links that lead out of the folder, and submodules that hold something."""
    found = []
    for name, (mode, _) in index.items():
        path = folder / name
        if mode == LINK and path.is_symlink() and not path.resolve().is_relative_to(folder):
            found.append(f"{name} (a link out of the folder)")
        if mode == SUBMODULE and path.is_dir() and any(path.iterdir()):
            found.append(f"{name} (a submodule that should be empty)")
    return found


def _hash(path: Path) -> str | None:
    """What git calls a file with this content, were it not to change the content first."""
    if path.is_symlink() or not path.is_file():
        return None
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _is_pointer(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1024:
        return False
    return path.read_bytes().startswith(POINTER)
