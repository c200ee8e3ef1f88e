"""Watches the processes of a run from outside, and ends all of them.

Linux: the started process adopts the orphans below it, so that its tree holds whatever the run
started, also daemons in sessions of their own; and a mark in the environment finds what left the
tree because the started process was killed. macOS and other Unix: the tree that `ps`
shows, without orphans. Windows: the tree that `taskkill` ends; its memory is not watched.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MARK = "QVIM_RUN"  # environment variable that marks all processes of a run
TICK = 0.1 if sys.platform == "linux" else 0.5  # s between looks; until the next all is allowed
STARTUP = 150.0  # s until the kernel is ready; the limit of time counts from then
GRACE = 1.0  # s that helpers of a kernel which has ended have to notice
PROC = Path("/proc")


class Process(NamedTuple):
    """One process: its parent, its memory in bytes, its name."""

    parent: int
    memory: int
    name: str


@dataclass
class Limits:
    """What a run may use: seconds for its cells, bytes of memory, processes at one time."""

    seconds: float
    memory: int
    processes: int = 512

    def not_enforced(self) -> list[str]:
        """What nobody watches on this system, in words."""
        if sys.platform == "linux":
            return ["disk space"]
        if os.name == "posix":
            return ["disk space", "processes that detach themselves from the notebook"]
        return ["memory", "number of processes", "disk space", "processes that detach themselves"]


def default_memory() -> int:
    """Three quarters of this machine's memory in bytes, so that it stays alive; else 16 GB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
    except (AttributeError, ValueError, OSError):
        return 16 * 10**9


@dataclass
class Usage:
    """What a run used, and which limit ended it: "time", "memory", "processes", or none, "".

    "kernel" where it was not ready in time.
    """

    exceeded: str = ""
    seconds: float = 0.0  # since the kernel was ready
    memory: int = 0  # bytes, highest sum over all processes at one time
    processes: int = 0  # at one time


def watch(
    process: subprocess.Popen, limits: Limits, ready: threading.Event, ended: threading.Event
) -> Usage:
    """Wait until ``ended`` is set, the process ends, or a limit is reached.

    Time counts from the moment when ``ready`` is set.
    """
    start, usage, waiting = time.monotonic(), Usage(), True
    while not usage.exceeded:
        if waiting and ready.is_set():
            start, waiting = time.monotonic(), False
        over = ended.wait(TICK) or process.poll() is not None
        tree = below(process.pid)
        usage.seconds = time.monotonic() - start
        usage.processes = max(usage.processes, len(tree))
        until = start + (STARTUP if waiting else limits.seconds)
        if not over and len(tree) > limits.processes:
            usage.exceeded = "processes"
        elif not over and time.monotonic() > until:
            usage.exceeded = "kernel" if waiting else "time"
        else:  # last, as it can take longest
            memory = sum(found.memory for found in tree.values())
            if memory > limits.memory:  # forked processes share most of theirs: ask more exactly
                memory = shared_once(tree, limits.memory, until)
            usage.memory = max(usage.memory, memory)
            usage.exceeded = "memory" if memory > limits.memory and not over else ""
        if over:
            break
    return usage


def end(process: subprocess.Popen, mark: str, grace: float = 0.0) -> list[str]:
    """Kill whatever the run started, then the process itself; names of what was still there.

    What ends by itself within ``grace`` seconds is not counted.
    """
    if os.name != "posix":
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, check=False)
        process.kill()
        process.wait()
        return []
    until = time.monotonic() + grace
    while _started_by(process.pid, mark) and time.monotonic() < until:
        time.sleep(TICK)
    names: dict[int, str] = {}
    # Stopped first, as what is stopped starts no other while this looks around; and first of all
    # what is found fastest, as a fork bomb is quick.
    for pid in _started_by(process.pid):
        _send(pid, signal.SIGSTOP)
    while fresh := _started_by(process.pid, mark).keys() - names.keys():
        names |= {pid: one.name for pid, one in processes().items() if pid in fresh}
        names |= {pid: "?" for pid in fresh - names.keys()}
        for pid in fresh:
            _send(pid, signal.SIGSTOP)
    for pid in names:
        _send(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()
    _wait_until_gone(names, mark)
    return sorted(names.values())


def _started_by(root: int, mark: str = "") -> dict[int, Process]:
    """What the run started: not its root, nor bubblewrap and the root within it.

    Without ``mark`` only what descends from the root, which is found much faster.
    """
    tree = below(root)
    own = [root]
    while own[-1] in tree and tree[own[-1]].name == "bwrap":
        own += sorted(pid for pid, one in tree.items() if one.parent == own[-1])[:1] or [-1]
    found = {**tree, **(marked(mark) if mark else {})}
    return {pid: one for pid, one in found.items() if pid not in own}


def _wait_until_gone(pids: dict[int, str], mark: str) -> None:
    for _ in range(100):
        left = (pids.keys() & processes().keys()) | marked(mark).keys()
        if not left:
            return
        for pid in left:
            _send(pid, signal.SIGKILL)
        time.sleep(0.05)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def below(root: int) -> dict[int, Process]:
    """The process ``root`` and everything that descends from it."""
    table = processes()
    children: dict[int, list[int]] = {}
    for pid, one in table.items():
        children.setdefault(one.parent, []).append(pid)
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in table and pid not in found:
            found[pid] = table[pid]
        todo += children.get(pid, [])
    return found


def processes() -> dict[int, Process]:
    """All processes of this machine that still run; none where they cannot be listed."""
    if PROC.joinpath("self", "stat").exists():
        return _from_proc()
    return _from_ps() if os.name == "posix" else {}


def _from_proc() -> dict[int, Process]:
    page, table = os.sysconf("SC_PAGE_SIZE"), {}
    for name in os.listdir(PROC):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    command, _, rest = file.read().rpartition(b")")  # the name may hold anything
            except OSError:  # it has ended meanwhile
                continue
            fields = rest.split(None, 22)
            if fields[0] not in b"ZX":
                title = command.partition(b"(")[2].decode("utf-8", "replace")
                table[int(name)] = Process(int(fields[1]), int(fields[21]) * page, title)
    return table


def _from_ps() -> dict[int, Process]:
    command = ["ps", "-A", "-o", "pid=,ppid=,rss=,stat=,comm="]
    table = {}
    for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
        pid, parent, kilobytes, state, name = (*line.split(None, 4), "")[:5]
        if state[0] not in "ZX":
            table[int(pid)] = Process(int(parent), int(kilobytes) * 1024, name)
    return table


def marked(mark: str) -> dict[int, Process]:
    """The processes whose environment holds the run's mark (Linux; elsewhere none)."""
    wanted, found = f"{MARK}={mark}".encode(), {}
    for pid, one in processes().items() if sys.platform == "linux" else ():
        with contextlib.suppress(OSError):
            if pid != os.getpid() and wanted in (PROC / str(pid) / "environ").read_bytes():
                found[pid] = one
    return found


def shared_once(tree: dict[int, Process], enough: int, until: float) -> int:
    """Memory of the processes in bytes, what several share counted once (Linux).

    It counts no further than to more than ``enough``, nor after ``until`` of `time.monotonic`: to
    ask a process takes milliseconds.
    """
    total = 0
    for pid, one in tree.items():
        if total > enough or time.monotonic() > until:
            break
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except (OSError, StopIteration):
            total += one.memory
    return total
