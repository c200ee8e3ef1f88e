"""Commands that a submission runs: they may only install packages.

Notebook: 05_submission.
"""

from __future__ import annotations

from collections.abc import Iterator

from qvim_kit.submission.checking.addresses import url_fault
from qvim_kit.submission.checking.installs import Install, NotAnInstall, read_script, read_words
from qvim_kit.submission.checking.locations import Folders, path_problem
from qvim_kit.submission.checking.problems import Problem, problem_at
from qvim_kit.submission.reading.bindings import Call
from qvim_kit.submission.reading.texts import PYTHON, shown, words
from qvim_kit.submission.reading.values import Either, options

SHELL_TEXT = words(
    """! os.system os.popen subprocess.getoutput subprocess.getstatusoutput
    asyncio.create_subprocess_shell IPython.utils.process.system pty.spawn platform.popen"""
)
SHELL_WORDS = words(
    """subprocess.run subprocess.call subprocess.check_call subprocess.check_output
    subprocess.Popen asyncio.create_subprocess_exec pip.main pip._internal.main
    pip._internal.cli.main.main"""
)
SHELL_OTHER = words(
    """os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp os.execvpe os.spawnl
    os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe os.posix_spawn
    os.posix_spawnp os.startfile os.fork os.forkpty
    %alias %rehashx %ls %ll %lf %lk %lx %ldir %cat %cp %mv %rm %rmdir %mkdir %man %more %less"""
)

SHELL_MODULES = words("sh plumbum invoke fabric pexpect delegator")  # all that they do
GIT_CLONES = words("git.Repo.clone_from git.Repo().clone git.Git().clone")

# Followed where they are called; here for where they are handed on.
IPYTHON = words("get_ipython().system get_ipython().getoutput get_ipython().run_line_magic")
RUNNERS = SHELL_TEXT | SHELL_WORDS | SHELL_OTHER


def command_problems(call: Call, folders: Folders) -> Iterator[Problem]:
    """The problems with a call, if it is one that runs commands."""
    if call.name in GIT_CLONES:
        remedy = "use helpers.git_clone_checkout, which takes one commit"
        message = f"{call.name} runs git, and takes whatever commit is there then"
        yield problem_at(call, "shell", message, remedy, "warning")
    elif call.name in SHELL_OTHER or call.name.split(".")[0] in SHELL_MODULES:
        yield problem_at(call, "shell", f"{call.name} runs a command")
    elif call.name in RUNNERS:
        for command in commands_of(call):
            yield from _command(call, command, folders)
        for place in options(call.kwargs.get("cwd")):
            if isinstance(place, str) and (wrong := path_problem(place, folders, False, True)):
                yield problem_at(call, wrong[0], f"the path {shown(place)!r} {wrong[1]}")


def commands_of(call: Call) -> tuple:
    """The commands, as text or tuple of words, that a call of one of `RUNNERS` may run."""
    if call.name == "asyncio.create_subprocess_exec":
        return options(call.args)
    return options(call.argument(0, "args" if call.name in SHELL_WORDS else "cmd"))


def installs_of(call: Call, command: object) -> list[Install]:
    """What one of a call's commands may install. Raises `NotAnInstall` if it does other things."""
    if call.kwargs.get("executable", PYTHON) not in (None, PYTHON):
        raise NotAnInstall("names another program as executable")
    if isinstance(command, tuple) and call.kwargs.get("shell"):
        command = command[0] if command else ""
    if isinstance(command, str):
        return [read_script(command)]
    if isinstance(command, tuple):
        start = ("pip",) if call.name.startswith("pip.") else ()
        return [read_words((*start, *each)) for each in _spelled_out(command)]
    raise NotAnInstall("cannot be told before it runs")


def _command(call: Call, command: object, folders: Folders) -> Iterator[Problem]:
    what = "the command" if call.name == "!" else call.name
    try:
        installs = installs_of(call, command)
    except NotAnInstall as error:
        yield problem_at(call, "shell", f"{what} {error}")
        return
    for found in installs:
        yield from _install(call, found, folders)


def _spelled_out(command: tuple) -> Iterator[tuple]:
    """The commands that a list of words with alternatives may be."""
    most = max((len(word.options) for word in command if isinstance(word, Either)), default=1)
    for number in range(most):
        yield tuple(options(word)[number % len(options(word))] for word in command)


def _install(call: Call, found: Install, folders: Folders) -> Iterator[Problem]:
    if found.unquoted:
        listed = ", ".join(map(shown, found.unquoted))
        remedy = f'quote it: "{shown(found.unquoted[0])}"; better, name one version with =='
        message = f"the shell takes < and > in {listed} for files"
        yield problem_at(call, "unpinned", message, remedy, "warning")
    loose = [each for each in found.unpinned if not any(u.startswith(each) for u in found.unquoted)]
    if loose:
        remedy = "name the version, as in timm==1.0.20; for git, the commit: @ and 40 digits"
        message = f"installs {', '.join(map(shown, loose))} in whatever version there is then"
        yield problem_at(call, "unpinned", message, remedy, "warning")
    for path in found.paths:
        wrong = path_problem(path, folders, writes=False, sure=True)
        if wrong or path in (".", "./"):
            wrong = wrong or ("root-path", "is the working directory, not ROOT_PATH")
            remedy = "" if wrong[0] != "root-path" else 'use "{ROOT_PATH}/…" in the command'
            yield problem_at(call, wrong[0], f"the path {shown(path)!r} {wrong[1]}", remedy)
    for url in found.urls:
        if fault := url_fault(url):
            yield problem_at(call, "url", fault)
