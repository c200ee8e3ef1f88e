"""The five functions with which a submission brings its files into ROOT_PATH.

Thin, checked wrappers: all arguments are validated at once (ValueError), all paths are relative
to ROOT_PATH and stay inside it, nobody writes into ROOT_PATH/output, and a download that fails
(DownloadError) leaves what was there untouched. Taught in ``notebooks/05_submission.ipynb``.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from qvim_kit.downloads import DownloadError, by_hand, clone, fetch, offline
from qvim_kit.downloads.archives import ArchiveError, unpack
from qvim_kit.downloads.safety import (
    branch_problem,
    content_problem,
    filename_problem,
    staging,
    url_problem,
)

ROOT_PATH = "."  # the submission notebook sets helpers.ROOT_PATH; read at every call

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
        shared_url: begins with https://drive.google.com/; "anyone with the link" may read it.
        relative_dir: folder below ROOT_PATH, made if missing; "" or "." is ROOT_PATH.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the file cannot be had (no access, quota used up, no network).

    >>> google_drive_download("head.pt", "https://drive.google.com/file/d/1AbC/view", "models")
    ... # doctest: +SKIP
    """
    check_download_file_info(filename, shared_url, relative_dir, "https://drive.google.com/")
    path = _inside(f"{_posix(relative_dir)}/{filename}")[0]
    if path.is_file():
        return
    try:
        if path.exists():
            raise OSError(f"{path} is a folder")
        if offline():
            raise OSError("QVIM_OFFLINE is set")
        with staging(path.parent) as stage:
            _from_drive(shared_url, stage / filename)
            (stage / filename).replace(path)
    except Exception as error:
        raise by_hand(shared_url, error, path) from error


def _from_drive(url: str, path: Path) -> None:
    import gdown

    gdown.download(url, str(path), use_cookies=False, timeout=30, retries=2)
    problem = content_problem(path, path.name) if path.is_file() else "nothing was sent"
    if problem:
        raise OSError(f"{problem}: share it with 'anyone with the link', or its quota is used up")


def wget_download(filename: str, shared_url: str, relative_dir: str) -> None:
    """Download a public https address to ROOT_PATH/relative_dir/filename.

    Nothing is downloaded if the file is already there. No wget program is needed.
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
    check_download_file_info(filename, shared_url, relative_dir, "")
    fetch(shared_url, _inside(_posix(relative_dir))[0], filename)


def git_clone_checkout(output_dir: str, url: str, branch: str, commit_sha: str) -> None:
    """Clone a public repository into ROOT_PATH/output_dir, at exactly one commit.

    A clone that is already there at that commit, unchanged, is kept; download files next to it,
    not into it. Taught in ``notebooks/05_submission.ipynb``.

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
        if not problem and folder == Path(ROOT_PATH).resolve():
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
            that is damaged or would write anywhere else.

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
    unpack(archive, folder, keep_out=Path(ROOT_PATH).resolve() / "output")


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
    problems = _not_text(
        filename=filename, shared_url=shared_url, relative_dir=relative_dir, url_prefix=url_prefix
    )
    if not problems:
        folder_problem = _inside(_posix(relative_dir))[1]
        problems = [filename_problem(filename), url_problem(shared_url), folder_problem]
        if not problems[0] and not folder_problem:
            problems.append(_inside(f"{_posix(relative_dir)}/{filename}")[1])
        if not problems[1]:
            problems.append(_prefix_problem(shared_url, url_prefix))
    _raise(f"download of {filename!r}", problems)


def _prefix_problem(url: str, prefix: str) -> str | None:
    if not prefix:
        return None
    found, wanted = urlsplit(url), urlsplit(prefix)
    same = (found.scheme, found.hostname, found.port) == (
        wanted.scheme,
        wanted.hostname or found.hostname,
        wanted.port if wanted.hostname else found.port,
    )
    climbs = ".." in unquote(found.path).split("/")
    if same and not climbs and (found.path or "/").startswith(wanted.path):
        return None
    return f"the URL is {url!r}; expected one that begins with {prefix}"


def _posix(folder: str | Path) -> str:
    return (folder.as_posix() if isinstance(folder, Path) else folder) or "."


def _not_text(**arguments: object) -> list[str]:
    paths = ("relative_dir", "output_dir", "file_path")
    return [
        f"{name} is {value!r} ({type(value).__name__}); expected text"
        for name, value in arguments.items()
        if not isinstance(value, (str, Path) if name in paths else str)
    ]


def _inside(relative: str, reading: bool = False) -> tuple[Path, str | None]:
    """The resolved path of ``relative`` below ROOT_PATH, and why it may not be used, or None."""
    root = Path(ROOT_PATH or ".").expanduser().resolve()
    names = [name for name in relative.split("/") if name not in ("", ".")]
    if not root.is_dir():
        return root, f"ROOT_PATH is {ROOT_PATH!r}, which is not a folder"
    if PurePosixPath(relative).is_absolute() or ".." in names:
        return root, f"the path {relative!r} is absolute or holds '..'; expected one in ROOT_PATH"
    for name in names:
        if problem := filename_problem(name):
            return root, f"in the path {relative!r}, {problem}"
    path = root.joinpath(*names).resolve()
    if not path.is_relative_to(root):
        return root, f"the path {relative!r} leads out of ROOT_PATH, to {path}"
    # casefold: on macOS and Windows, Output is the same folder.
    closed = [name.casefold() for name in path.relative_to(root).parts[:1]] == ["output"]
    if not reading and (closed or path.is_relative_to((root / "output").resolve())):
        return root, f"the path {relative!r} is in ROOT_PATH/output, which only the notebook writes"
    return path, None


def _raise(what: str, problems: list[str | None]) -> None:
    if any(problems):
        raise ValueError(f"{what}: " + "; ".join(filter(None, problems)))
