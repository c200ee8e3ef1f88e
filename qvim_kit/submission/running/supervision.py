"""Starts a notebook's execution in a session of its own, listens to it, and cleans up after it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from qvim_kit.submission.running.kept import KeptText
from qvim_kit.submission.running.limits import GRACE, MARK, Limits, Usage, end, watch

LONGEST_LINE = 100_000  # bytes of an event


@dataclass
class Ending:
    """How an execution ended.

    Attributes:
        last: what `execution` said at the end, or {} if it was not heard of again.
        kernel: seconds until the kernel was ready, or None if it never was.
        cell: index of the last cell that was started, or None.
        cells: seconds of each cell that was done, by index.
        usage, left: what was used; names of processes that were still there.
        code: exit code of the process that executed it, where it ended by itself.
    """

    last: dict = field(default_factory=dict)
    kernel: float | None = None
    cell: int | None = None
    cells: dict[int, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    left: list[str] = field(default_factory=list)
    code: int | None = None


def supervise(
    command: list[str],
    environment: Mapping[str, str],
    limits: Limits,
    log: KeptText,
    tell: Callable[[int, float], None],
    begun: Callable[[int], None] = lambda index: None,
) -> Ending:
    """Run `execution` by this command; afterwards none of its processes is left.

    Args:
        command: of `execution`, possibly within bubblewrap.
        environment: its variables.
        limits: at which it is ended.
        log: takes what it prints.
        tell: called with index and seconds of each cell that is done.
        begun: called with the index of each cell that starts.
    """
    mark, story, told = secrets.token_hex(16), Ending(), (tell, begun)
    ready, heard = threading.Event(), threading.Event()
    with _signals_interrupt():
        process = subprocess.Popen(
            command,
            env={**environment, MARK: mark},
            cwd=Path(command[-1]).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, who then end it
        )
        readers = [
            threading.Thread(target=_listen, args=(process.stdout, story, ready, heard, *told)),
            threading.Thread(target=log.read, args=(process.stderr,)),
        ]
        try:
            for reader in readers:
                reader.daemon = True
                reader.start()
            story.usage = watch(process, limits, ready, heard)
        finally:
            story.left = end(process, mark, GRACE if story.last else 0)
            for reader in readers:
                reader.join(5)
            process.stdout.close()
            process.stderr.close()
    return story


def _listen(
    stream: BinaryIO,
    story: Ending,
    ready: threading.Event,
    heard: threading.Event,
    tell: Callable[[int, float], None],
    begun: Callable[[int], None],
) -> None:
    """Take in the events; what is none is passed over, as a submission may write here too."""
    start = since = time.monotonic()
    for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            event, now = json.loads(line), time.monotonic()
            if "kernel" in event:
                story.kernel = now - start
                ready.set()
            elif "cell" in event and event["state"] == "started":
                story.cell, since = int(event["cell"]), now
                begun(story.cell)
            elif "cell" in event:
                story.cells[int(event["cell"])] = now - since
                tell(int(event["cell"]), now - since)
            elif "end" in event:
                story.last = dict(event)
                heard.set()
            elif "code" in event:
                story.code = int(event["code"])
                heard.set()


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """A closed terminal and a polite kill end the run as Ctrl-C does, and leave nothing behind."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def shell_of(code: int | None) -> str:
    """An exit code in words: "exit code 3", "signal SIGSEGV"."""
    if code is None:
        return "no exit code"
    if code < 0 and os.name == "posix":
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
