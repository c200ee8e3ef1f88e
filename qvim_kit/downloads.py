"""Fetch files and clone repositories: verified before they are in place, never half there.

A failure of any kind (no network, a web page instead of a file, a wrong hash) is one
DownloadError that says which file to put where by hand. ``QVIM_OFFLINE=1`` forbids the network.
Unpacking is in ``archives``.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from qvim_kit.safety import (
    branch_problem,
    content_problem,
    filename_problem,
    staging,
    url_problem,
)

TIMEOUT = 30.0  # seconds to connect, and at most between two pieces of the answer
ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; twice that before the third
CHUNK = 1 << 18  # bytes; pooch's own 1 KiB makes the loop the bottleneck


class DownloadError(RuntimeError):
    """A file or repository that could not be had, with what to do about it by hand."""


def offline() -> bool:
    """Whether the environment variable ``QVIM_OFFLINE`` forbids the network, at this moment."""
    return os.environ.get("QVIM_OFFLINE", "") not in ("", "0")


def by_hand(url: str, reason: Any, path: Path, sha256: str | None = None) -> DownloadError:
    """The error of a failed download, which says where to put the file instead."""
    check = f" (SHA-256 {sha256})" if sha256 else ""
    return DownloadError(
        f"{url} could not be downloaded: {str(reason).strip().rstrip('.')}. "
        f"Get the file another way, put {path.name}{check} into {path.parent} and run again"
    )


def fetch(url: str, folder: str | Path, filename: str, sha256: str | None = None) -> Path:
    """The path of a file in ``folder``, downloaded if it is not there yet.

    A file that exists, and has the hash where one is given, is returned without any network.
    Otherwise it is downloaded with pooch beside its place, checked and moved; a file with the
    wrong hash stays until its replacement is verified. Without a hash only the length, where
    the server declares it, and the kind are checked. Three attempts are made where it may help.
    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        url: https (or http to this machine), public, without user name.
        folder: made if missing.
        filename: one name, valid on every system.
        sha256: 64 hexadecimal digits.

    Raises:
        ValueError: for arguments that cannot work, all at once.
        DownloadError: if the file cannot be had.

    >>> fetch("https://example.org/a.pt", "models", "a.pt")  # doctest: +SKIP
    """
    import pooch

    problems = [url_problem(url), filename_problem(filename)]
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        problems.append(f"sha256 is {sha256!r}; expected 64 hexadecimal digits")
    if any(problems):
        raise ValueError(f"cannot download {url!r}: " + "; ".join(filter(None, problems)))
    sha256 = sha256.lower() if sha256 else None
    path = Path(folder).expanduser().resolve() / filename
    kept = ""
    try:
        if path.is_file():
            if not sha256 or (found := pooch.file_hash(str(path))) == sha256:
                return path
            kept = f" (the file that was there has SHA-256 {found}; it was kept)"
        elif path.exists():
            raise OSError(f"{path} is a folder")
        if offline():
            raise OSError("QVIM_OFFLINE is set")
        _retrieve(url, path, sha256)
    except Exception as error:
        raise by_hand(url, f"{_in_words(error, url)}{kept}", path, sha256) from error
    return path


def _in_words(error: Exception, url: str) -> str:
    """The commonest failures without the library's class names."""
    if "Failed to resolve" in str(error) or "NameResolutionError" in str(error):
        return f"{urlsplit(url).hostname} was not found; is there a network?"
    return str(error)


def _retrieve(url: str, path: Path, sha256: str | None) -> None:
    import pooch
    import requests

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # below, it tells the reader to pass arguments of pooch's own
    downloader = functools.partial(_download, name=path.name)
    print(f"Downloading {url} to {path}", file=sys.stderr)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                pooch.retrieve(url, sha256, path.name, path.parent, downloader=downloader)
                break
            except requests.RequestException as error:
                status = 500 if error.response is None else error.response.status_code
                if attempt == ATTEMPTS or (status < 500 and status != 429):
                    raise
                time.sleep(PAUSE * attempt)
    finally:
        logger.setLevel(level)
    path.chmod(0o644)  # the temporary file was its owner's alone


def _download(url: str, output_file: str, _pooch: Any, *, name: str) -> None:
    """A pooch downloader that also refuses web pages, cut files and unsafe redirects."""
    import requests
    from pooch import HTTPDownloader

    page, answers = name.lower().endswith((".html", ".htm")), []

    def watch(response: requests.Response, **_: Any) -> None:
        answers.append(response)
        if problem := _answer_problem(response, page):
            raise OSError(problem)

    options = {"chunk_size": CHUNK, "timeout": TIMEOUT, "headers": {"Accept-Encoding": "identity"}}
    HTTPDownloader(progressbar=True, hooks={"response": watch}, **options)(url, output_file, None)
    size, headers = os.path.getsize(output_file), answers[-1].headers
    declared = headers.get("Content-Length", "")
    if declared.isdigit() and "Content-Encoding" not in headers and size != int(declared):
        raise requests.ConnectionError(f"{size} of {declared} bytes arrived")
    if problem := content_problem(Path(output_file), name):
        raise OSError(problem)


def _answer_problem(response: Any, page: bool) -> str | None:
    if response.is_redirect:
        here, there = response.url, urljoin(response.url, response.headers["Location"])
        if urlsplit(here).scheme == "https" != urlsplit(there).scheme or url_problem(there):
            return f"the server redirects to {there}, which is refused (only https is followed)"
    elif response.ok and not page:
        kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            return f"a web page ({kind}) was sent instead of the file"
    return None


def clone(
    url: str, folder: str | Path, branch: str, commit: str, *, _allow_local: bool = False
) -> Path:
    """A clone of a public repository in ``folder``, at exactly one commit of one branch.

    The clone is made beside the folder, checked and moved. A folder that exists is accepted
    without any network if it is a clone at that commit with nothing changed or added (Python's
    byte code aside). Submodules are not fetched and hooks do not run.
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
            _check_clone(folder, commit)
        elif offline():
            raise OSError("QVIM_OFFLINE is set")
        else:
            with staging(folder.parent) as stage:
                _clone(stage, url, branch, commit, "https:file" if _allow_local else "https")
                if folder.exists():
                    folder.rmdir()
                (stage / "clone").replace(folder)
    except Exception as error:
        reason = " ".join(str(getattr(error, "stderr", "") or error).split())
        raise DownloadError(
            f"{url} could not be cloned: {reason}. If {folder} is there, move or delete it; to "
            f"clone by hand, run: git clone -b {branch} {url} {folder}; git -C {folder} checkout "
            f"{commit}. Then run again"
        ) from error
    return folder


def _git(folder: Path, *arguments: str, protocols: str = "https") -> str:
    """Run git without hooks, prompts, stored passwords or any transport but ``protocols``."""
    from git import Git

    git = Git(folder)
    git.update_environment(GIT_TERMINAL_PROMPT="0", GIT_ALLOW_PROTOCOL=protocols)
    # A connection that brings less than a byte a second for TIMEOUT seconds is given up.
    git.update_environment(GIT_HTTP_LOW_SPEED_LIMIT="1", GIT_HTTP_LOW_SPEED_TIME=f"{TIMEOUT:.0f}")
    off = (f"core.hooksPath={os.devnull}", "core.fsmonitor=false", "submodule.recurse=false")
    options = [part for setting in (*off, "credential.helper=") for part in ("-c", setting)]
    return git.execute([git.GIT_PYTHON_GIT_EXECUTABLE, *options, *arguments])


def _clone(stage: Path, url: str, branch: str, commit: str, protocols: str) -> None:
    import git

    options = ("--no-checkout", "--single-branch", "--no-tags", "--branch", branch)
    _git(stage, "clone", *options, "--", url, "clone", protocols=protocols)
    tip = f"refs/remotes/origin/{branch}"
    try:
        _git(stage / "clone", "merge-base", "--is-ancestor", commit, tip)
    except git.GitCommandError as error:
        raise OSError(f"commit {commit} is not on a branch called {branch!r}") from error
    _git(stage / "clone", "checkout", "--quiet", "--detach", commit)
    _check_clone(stage / "clone", commit)


def _check_clone(folder: Path, commit: str) -> None:
    if not (folder / ".git").is_dir():
        raise OSError(f"{folder} exists and is not a git clone")
    # Named outright, or git would look for a repository in the folders above a broken one.
    here = ("--git-dir", str(folder / ".git"), "--work-tree", str(folder))
    head = _git(folder, *here, "rev-parse", "--verify", "HEAD")
    if head != commit:
        raise OSError(f"{folder} is at commit {head}, expected {commit}")
    status = _git(folder, *here, "status", "--porcelain", "--untracked-files=all").splitlines()
    changed = [line[2:].strip() for line in status if not re.match(r"\?\? .*\.pyc\b", line)]
    if changed:
        raise OSError(f"{folder} holds {len(changed)} changed or added file(s): {changed[:5]}")
