"""What `downloads.clone` does with git: no hooks, no prompts, no stored passwords, one protocol."""

from __future__ import annotations

import os
import re
from pathlib import Path

SILENCE = 30.0  # seconds that a connection may bring nothing


def run_git(folder: Path, *arguments: str, protocols: str = "https") -> str:
    """Run git without hooks, prompts, stored passwords or any transport but ``protocols``."""
    from git import Git

    git = Git(folder)
    git.update_environment(GIT_TERMINAL_PROMPT="0", GIT_ALLOW_PROTOCOL=protocols)
    # A connection that brings less than a byte a second for SILENCE seconds is given up.
    git.update_environment(GIT_HTTP_LOW_SPEED_LIMIT="1", GIT_HTTP_LOW_SPEED_TIME=f"{SILENCE:.0f}")
    off = (f"core.hooksPath={os.devnull}", "core.fsmonitor=false", "submodule.recurse=false")
    options = [part for setting in (*off, "credential.helper=") for part in ("-c", setting)]
    return git.execute([git.GIT_PYTHON_GIT_EXECUTABLE, *options, *arguments])


def clone_commit(stage: Path, url: str, branch: str, commit: str, protocols: str) -> None:
    """Clone into ``stage / "clone"`` and check out one commit of one branch.

    Raises `git.GitCommandError`, and `OSError` for a commit that is not on the branch.
    """
    import git

    options = ("--no-checkout", "--single-branch", "--no-tags", "--branch", branch)
    run_git(stage, "clone", *options, "--", url, "clone", protocols=protocols)
    tip = f"refs/remotes/origin/{branch}"
    try:
        run_git(stage / "clone", "merge-base", "--is-ancestor", commit, tip)
    except git.GitCommandError as error:
        raise OSError(f"commit {commit} is not on a branch called {branch!r}") from error
    run_git(stage / "clone", "checkout", "--quiet", "--detach", commit)
    check_clone(stage / "clone", commit)


def check_clone(folder: Path, commit: str) -> None:
    """Raise `OSError` unless the folder is a clone at that commit, with nothing changed or added.

    Python's byte code does not count.
    """
    if not (folder / ".git").is_dir():
        raise OSError(f"{folder} exists and is not a git clone")
    # Named outright, or git would look for a repository in the folders above a broken one.
    here = ("--git-dir", str(folder / ".git"), "--work-tree", str(folder))
    head = run_git(folder, *here, "rev-parse", "--verify", "HEAD")
    if head != commit:
        raise OSError(f"{folder} is at commit {head}, expected {commit}")
    status = run_git(folder, *here, "status", "--porcelain", "--untracked-files=all").splitlines()
    changed = [line[2:].strip() for line in status if not re.match(r"\?\? .*\.pyc\b", line)]
    if changed:
        raise OSError(f"{folder} holds {len(changed)} changed or added file(s): {changed[:5]}")
