"""Run git by itself: without the settings, hooks, filters, prompts and passwords of anybody.

Git reads settings from a dozen places, and some of them name programs to run: see git-config(1),
gitattributes(5), githooks(5) and gitcredentials(7). Of the user's settings just those that a
network may need are kept.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

SILENCE = 30  # seconds that a connection may bring nothing
LIMIT = 3600.0  # seconds that one run of git may take
NETWORK = "proxy|sslcainfo|sslcapath|sslbackend|schannelusesslcainfo"  # of the user's http.*
FIXED = (
    f"core.hooksPath={os.devnull}", f"core.attributesFile={os.devnull}",
    f"core.excludesFile={os.devnull}", "core.fsmonitor=false", "core.askPass=",
    "core.autocrlf=false", "core.protectNTFS=true", "core.protectHFS=true", "credential.helper=",
    "submodule.recurse=false", "fetch.recurseSubmodules=false", "gc.auto=0",
    "maintenance.auto=false", "advice.detachedHead=false",
)  # fmt: skip


class GitError(OSError):
    """Git ended with an error; the message is what it said."""


def run_git(
    folder: Path, *arguments: str, protocols: str = "", limit: float | None = None, **places: Path
) -> str:
    """What git prints, run in ``folder``.

    Args:
        protocols: transports that it may use, separated by colons.
        limit: seconds (default: ``LIMIT``); then it is ended, with everything that it has started.
        places: variables of its environment, such as GIT_DIR.

    Raises `GitError`, also where there is no git.
    """
    command = ["git", *(part for setting in FIXED for part in ("-c", setting)), *arguments]
    environment = _environment(protocols) | {name: str(place) for name, place in places.items()}
    # A session of its own, so that what git has started can be ended with it.
    own = os.name == "posix"
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            start_new_session=own,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise GitError("there is no program git; get it from https://git-scm.com") from error
    limit = LIMIT if limit is None else limit
    try:
        out, said = process.communicate(timeout=limit)
    except BaseException as error:  # Ctrl-C, too
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if own else process.kill()
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise GitError(f"git {arguments[0]} took longer than {limit:g} s") from error
        raise
    if process.returncode:
        words = said.decode(errors="replace").strip() or f"it ended with {process.returncode}"
        raise GitError(f"git {arguments[0]}: {words}")
    return os.fsdecode(out)


def _environment(protocols: str) -> dict[str, str]:
    """The user's, without all that concerns git (whoever runs us may be git itself)."""
    own = {k: v for k, v in os.environ.items() if not k.upper().startswith(("GIT_", "SSH_ASKPASS"))}
    kept = _network_settings() if protocols else []
    for number, (key, value) in enumerate(kept):
        own |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return own | {
        "GIT_CONFIG_COUNT": str(len(kept)),
        "HOME": os.devnull, "XDG_CONFIG_HOME": os.devnull,  # no ~/.netrc, no ~/.gitconfig
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GCM_INTERACTIVE": "never",
        "GIT_ALLOW_PROTOCOL": protocols, "LC_ALL": "C",
        # A connection that brings less than a byte a second for SILENCE seconds is given up.
        "GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": str(SILENCE),
    }  # fmt: skip


def _network_settings() -> list[tuple[str, str]]:
    """(key, value) of the user's proxy and certificates."""
    found: list[tuple[str, str]] = []
    for scope in ("--system", "--global"):
        wanted = ("--includes", "-z", "--get-regexp", rf"^http\.({NETWORK})$")
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                ["git", "config", scope, *wanted],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
            )
            lines = (line.partition("\n") for line in os.fsdecode(done.stdout).split("\0"))
            found += [(key, value) for key, _, value in lines if value]
    return found
