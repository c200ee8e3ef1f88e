"""The five functions with which a submission brings its files into ROOT_PATH.

Thin, checked wrappers: all arguments are validated at once (ValueError), all paths are relative
to ROOT_PATH and stay inside it, nobody writes into ROOT_PATH/output, and a download that fails
(DownloadError) leaves what was there untouched. Taught in ``notebooks/05_submission.ipynb``.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from qvim_kit.downloads import DownloadError, clone, fetch, safety
from qvim_kit.downloads.archives import ArchiveError, unpack
from qvim_kit.downloads.drive import fetch_from_drive, folder_problem
from qvim_kit.downloads.safety import branch_problem, filename_problem, prefix_problem, url_problem

ROOT_PATH = "."  # the submission notebook sets helpers.ROOT_PATH; read at every call
MAX_BYTES = 50_000_000_000  # of a download; a server may send without end
LONGEST = 1000  # characters of a path below ROOT_PATH
DRIVE = "https://drive.google.com/"

__all__ = [
    "ArchiveError",
    "DownloadError",
    "check_download_file_info",
    "git_clone_checkout",
    "google_drive_download",
    "unpack_file",
    "wget_download",
]


def google_drive_download(filename: str, shared_url: str, relative_dir: str) -> None:
    """Download a publicly shared Google Drive file to ROOT_PATH/relative_dir/filename.

    Nothing is downloaded if the file is already there. Drive's shared links, ``/file/d/ID/view``
    and ``/uc?id=ID``, are both understood. Taught in ``notebooks/05_submission.ipynb``.

    Args:
        filename: one name, valid on every system.
        shared_url: begins with https://drive.google.com/ and is that of a file, not of a folder;
            "anyone with the link" may read it.
        relative_dir: folder below ROOT_PATH, made if missing; "" or "." is ROOT_PATH.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the file cannot be had (no access, quota used up, no network); what was
            there is untouched.

    >>> google_drive_download("head.pt", "https://drive.google.com/file/d/1AbC/view", "models")
    ... # doctest: +SKIP
    """
    folder = _download_folder(filename, shared_url, relative_dir, DRIVE)
    fetch_from_drive(shared_url, folder, filename, max_bytes=MAX_BYTES)


def wget_download(filename: str, shared_url: str, relative_dir: str) -> None:
    """Download a public https address to ROOT_PATH/relative_dir/filename.

    Nothing is downloaded if the file is already there. A download that broke off goes on where it
    stopped, in this run or a later one. No wget program is needed.
    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        filename: one name, valid on every system.
        shared_url: https, public, without user name.
        relative_dir: folder below ROOT_PATH, made if missing; "" or "." is ROOT_PATH.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the file cannot be had; what was there is untouched.

    >>> wget_download("mn.pt", "https://example.org/mn04.pt", "models")  # doctest: +SKIP
    """
    folder = _download_folder(filename, shared_url, relative_dir, "")
    fetch(shared_url, folder, filename, max_bytes=MAX_BYTES)


def git_clone_checkout(output_dir: str, url: str, branch: str, commit_sha: str) -> None:
    """Clone a public repository into ROOT_PATH/output_dir, at exactly one commit.

    A clone that is already there at that commit, unchanged, is kept; download files next to it,
    not into it. Submodules and files in Git LFS are not fetched.
    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        output_dir: folder below ROOT_PATH, missing or empty.
        url: https, public, without user name.
        branch: a branch that contains the commit.
        commit_sha: all 40 hexadecimal digits.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the clone cannot be had, or the folder holds something else.

    >>> git_clone_checkout("code", "https://github.com/me/code", "main", "0f" * 20)
    ... # doctest: +SKIP
    """
    problems = _not_text(output_dir=output_dir, url=url, branch=branch, commit_sha=commit_sha)
    if not problems:
        folder, problem = _inside(_posix(output_dir))
        if not problem and folder == _root()[0]:
            problem = f"output_dir is {output_dir!r}; expected a folder below ROOT_PATH"
        problems = [problem, url_problem(url, local=False), branch_problem(branch)]
        if len(commit_sha) != 40 or set(commit_sha.lower()) - set("0123456789abcdef"):
            problems.append(f"commit_sha is {commit_sha!r}; expected all 40 hexadecimal digits")
    _raise("git_clone_checkout", problems)
    clone(url, folder, branch, commit_sha)


def unpack_file(file_path: str, output_dir: str) -> None:
    """Unpack a zip, tar, tar.gz, tgz or tar.xz below ROOT_PATH: all of it, or nothing.

    Doing it again does nothing. Taught in ``notebooks/05_submission.ipynb``.

    Args:
        file_path: the archive, relative to ROOT_PATH.
        output_dir: folder below ROOT_PATH, made if missing; "" or "." is ROOT_PATH.

    Raises:
        ValueError: for arguments that cannot work, all at once; as ArchiveError for an archive
            that is damaged, out of all proportion, would write anywhere else, or holds names
            that not every system can write.

    >>> unpack_file("models/weights.tar.gz", "models")  # doctest: +SKIP
    """
    problems = _not_text(file_path=file_path, output_dir=output_dir)
    if not problems:
        archive, problem = _inside(_posix(file_path), reading=True)
        if not problem and not archive.is_file():
            problem = f"file_path: there is no file {archive}; download it first"
        folder, other = _inside(_posix(output_dir))
        problems = [problem, other]
    _raise("unpack_file", problems)
    unpack(archive, folder, keep_out=_root()[0] / "output", portable=True)


def check_download_file_info(
    filename: str, shared_url: str, relative_dir: str, url_prefix: str
) -> None:
    """Check what a download is asked to do, without doing it.

    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        filename: one name, valid on every system.
        shared_url: https (or http to this machine), public, without user name.
        relative_dir: folder below ROOT_PATH that neither is nor enters ROOT_PATH/output.
        url_prefix: what the URL must begin with, compared part by part: scheme, host and port
            must be equal and the path must begin with the prefix's; "" allows any.

    Raises:
        ValueError: naming everything that is wrong.

    >>> check_download_file_info("a.pt", "https://zenodo.org/a.pt", "models", "https://zenodo.org")
    """
    _download_folder(filename, shared_url, relative_dir, url_prefix)


def _download_folder(filename: str, url: str, relative_dir: str, prefix: str) -> Path:
    """The folder that a download goes into; ValueError with everything that is wrong."""
    problems: list[str | None] = _not_text(
        filename=filename, shared_url=url, relative_dir=relative_dir, url_prefix=prefix
    )
    folder = Path()
    if not problems:
        folder, folder_wrong = _inside(_posix(relative_dir))
        problems = [filename_problem(filename), url_problem(url), folder_wrong]
        if not problems[0] and not folder_wrong:
            problems.append(_inside(f"{_posix(relative_dir)}/{filename}")[1])
        if not problems[1]:
            problems += [prefix_problem(url, prefix)]
        if not any(problems[1:]) and prefix == DRIVE:
            problems.append(folder_problem(url))
    _raise(f"download of {filename!r}", problems)
    return folder


def _posix(folder: str | Path) -> str:
    return (folder.as_posix() if isinstance(folder, Path) else folder) or "."


def _not_text(**arguments: object) -> list[str]:
    paths = ("relative_dir", "output_dir", "file_path")
    return [
        f"{name} is {value!r} ({type(value).__name__}); expected text"
        for name, value in arguments.items()
        if not isinstance(value, (str, Path) if name in paths else str)
    ]


def _root() -> tuple[Path, str | None]:
    """ROOT_PATH as it is now, resolved; and why it cannot be used, or None."""
    if not isinstance(ROOT_PATH, (str, os.PathLike)):
        return Path(), f"ROOT_PATH is {ROOT_PATH!r} ({type(ROOT_PATH).__name__}); expected text"
    try:
        root = safety.followed(Path(ROOT_PATH or ".").expanduser())
        return root, None if root.is_dir() else f"ROOT_PATH is {ROOT_PATH!r}, which is not a folder"
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, no such user, a NUL
        return Path(), f"ROOT_PATH is {ROOT_PATH!r}, which cannot be looked up ({error})"


def _inside(relative: str, reading: bool = False) -> tuple[Path, str | None]:
    """The resolved path of ``relative`` below ROOT_PATH, and why it may not be used, or None."""
    root, problem = _root()
    names = [name for name in relative.split("/") if name not in ("", ".")]
    if problem or len(relative) > LONGEST:
        return root, problem or f"the path {relative[:40]!r}… has more than {LONGEST} characters"
    if PurePosixPath(relative).is_absolute() or ".." in names:
        return root, f"the path {relative!r} is absolute or holds '..'; expected one in ROOT_PATH"
    if names and names[0].startswith("~"):
        return root, f"the path {relative!r} begins with '~'; expected one in ROOT_PATH"
    for name in names:
        if problem := filename_problem(name):
            return root, f"in the path {relative!r}, {problem}"
    try:
        path = safety.followed(root.joinpath(*names))
    except (OSError, RuntimeError) as error:
        return root, f"the path {relative!r} cannot be followed ({error})"
    if not path.is_relative_to(root):
        return root, f"the path {relative!r} leads out of ROOT_PATH, to {path}"
    if reading:
        return path, None
    # casefold: on macOS and Windows, Output is the same folder.
    parts = [part.casefold() for part in path.relative_to(root).parts]
    if parts[:1] == ["output"] or path.is_relative_to((root / "output").resolve()):
        return root, f"the path {relative!r} is in ROOT_PATH/output, which only the notebook writes"
    if ".git" in parts:
        return root, f"the path {relative!r} is in .git, whose files may name programs to run"
    return path, _other_case(root, names)


def _other_case(folder: Path, names: list[str]) -> str | None:
    """Whether a name is there in other letters, which would be the same file on Windows."""
    for name in names:
        if not folder.is_dir():
            return None
        if not (folder / name).exists():
            twins = [other for other in os.listdir(folder) if other.casefold() == name.casefold()]
            if twins and name not in twins:
                return f"{name!r} differs only in case from {twins[0]!r}, which is in {folder}"
        folder = folder / name
    return None


def _raise(what: str, problems: list[str | None]) -> None:
    if any(problems):
        raise ValueError(f"{what}: " + "; ".join(filter(None, problems)))
