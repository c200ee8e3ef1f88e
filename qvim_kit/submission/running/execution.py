"""Executes one notebook: the program that `runner` starts in a session of its own.

    python execution.py NOTEBOOK EXECUTED FOLDER

It runs NOTEBOOK's cells in a fresh kernel whose working directory is FOLDER, and keeps EXECUTED
up to date while it does. Standard output: one JSON object a line, saying how far it is; standard
error: what the kernel and the cells print. It imports nothing of the kit.

Where there is fork, the program is two processes: one executes, the other stays above it until
standard input ends, and whatever the cells left behind can be found below it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import re
import signal
import sys
import tempfile
import threading

if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its modules must not stand in for others

CELL_ROOM = 1_000_000  # characters that a cell's outputs may take in the executed notebook
ROOM = 50_000_000  # and all of them together
MESSAGE_OVERHEAD = 200  # counted for every output, so that a million empty ones do not fit
SAVING = 0.5  # s between looks at whether there is something new to save
LONGEST_SOCKET = 90  # characters of a path; macOS allows 104 with what is appended
STARTUP = 120  # s until the kernel answers
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(notebook: str, executed: str, folder: str) -> None:
    """Run it, and say how it ended: passed, raised (a cell), died (the kernel), or broke."""
    say = open(os.dup(1), "w", buffering=1, encoding="utf-8")  # noqa: SIM115
    os.dup2(2, 1)  # from here on whatever anyone prints goes to the log
    if hasattr(os, "fork"):
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if child := os.fork():
            _stay_above(child, say)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        ending = asyncio.run(_execute(notebook, executed, folder, say))
    except Exception as error:
        ending = {"end": "broke", "reason": f"{type(error).__name__}: {error}"[:2_000]}
    print(json.dumps(ending), file=say)
    os._exit(0)  # nothing of a submission's is worth waiting for


def _stay_above(child: int, say) -> None:
    """Adopt and bury what descends from the child, and tell how that ended; never returns."""

    def leave():
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()
    with contextlib.suppress(ChildProcessError):  # none is left
        while True:
            pid, status = os.wait()
            if pid == child:
                print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=say)
    while True:
        signal.pause()


class Left(Exception):
    """A cell asked its kernel to end."""


async def _execute(notebook: str, executed: str, folder: str, say) -> dict:
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    client = _client(nbformat.read(notebook, as_version=4), folder, say)
    saving = asyncio.create_task(_keep_saving(client, executed))
    ending: dict = {"end": "passed"}
    try:
        await client.async_execute()
    except CellExecutionError as error:
        ending = {"end": "raised", "name": error.ename, "text": error.evalue[:2_000]}
        ending |= _innermost(error.traceback or "", client.nb.cells)
    except Left:
        ending = {"end": "raised", "name": "SystemExit", "text": "the cell ends the kernel"}
    except DeadKernelError:
        ending = {"end": "died", "code": client.kernel and client.kernel.poll()}
    finally:
        saving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saving
        _save(client.nb, executed)
    return ending


def _innermost(traceback: str, cells: list) -> dict:
    """Cell and line of the last line of a traceback that stands in a cell, as far as it tells."""
    frames = re.findall(r"Cell In\[(\d+)\], line (\d+)", _plain(traceback))
    counts = [cell.get("execution_count") for cell in cells]
    if not frames:
        return {"line": None}
    count, line = map(int, frames[-1])
    known = {"inner": counts.index(count)} if count in counts else {}
    return {**known, "line": line}


def _client(notebook, folder: str, say):
    """A notebook client that reports each cell, logs what it prints, and limits what is kept."""
    from nbclient import NotebookClient

    class Client(NotebookClient):
        kernel = None  # its process
        room, room_in_cell, changed = ROOM, CELL_ROOM, True

        def output(self, outs, msg, display_id, cell_index):
            self.changed = True
            room = min(self.room, self.room_in_cell)
            if room <= 0:
                return None
            used = _fit(msg, room)
            self.room, self.room_in_cell = self.room - used, self.room_in_cell - used
            _log(msg["content"])
            # Joined here, as coalesce_streams takes hours for a line of a million characters.
            stream = msg["content"].get("name") if msg["msg_type"] == "stream" else None
            if stream and outs and outs[-1].get("name") == stream:
                outs[-1]["text"] += msg["content"]["text"]
                return None
            return super().output(outs, msg, display_id, cell_index)

    def begin(cell, cell_index):
        client.changed, client.room_in_cell = True, CELL_ROOM
        print(json.dumps({"cell": cell_index, "state": "started"}), file=say)

    def finish(cell, cell_index, execute_reply):
        client.changed = True
        content = execute_reply["content"]
        if any(found.get("source") == "ask_exit" for found in content.get("payload", ())):
            raise Left  # `exit` in a cell: the kernel would end a moment later
        if content["status"] == "ok":
            print(json.dumps({"cell": cell_index, "state": "done"}), file=say)

    def started(**_):
        client.kernel = client.km.provisioner.process
        print(json.dumps({"kernel": "started"}), file=say)

    client = Client(
        notebook,
        timeout=None,  # whoever started this watches the clock
        kernel_name="python3",
        config=_sockets(),
        force_raise_errors=True,
        startup_timeout=STARTUP,
        record_timing=False,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": folder}},
        on_notebook_start=started,
        on_cell_execute=begin,
        on_cell_executed=finish,
    )
    return client


def _sockets():
    """Files for sockets where they can be: two kernels that start at once may pick one port."""
    import zmq
    from traitlets.config import Config

    place = os.path.join(tempfile.gettempdir(), "k")
    if not zmq.has("ipc") or len(place) > LONGEST_SOCKET:
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": place}})


def _fit(message: dict, room: int) -> int:
    """Cut a message's texts so that they fit; returns how much room it takes."""
    content = message["content"]
    note = f"\n… cut off after {room:,} characters\n"
    if "data" in content and sum(len(str(value)) for value in content["data"].values()) > room:
        content["data"] = {"text/plain": f"(an output of more than {room:,} characters)"}
    for key in ("text", "evalue"):
        if len(content.get(key, "")) > room:
            content[key] = content[key][:room] + note
    if sum(map(len, content.get("traceback", ()))) > room:
        content["traceback"] = [line[: room // 10] for line in content["traceback"][-10:]]
    texts = [content.get("text", ""), *content.get("traceback", ())]
    return sum(map(len, texts)) + len(str(content.get("data", ""))) + MESSAGE_OVERHEAD


def _log(content: dict) -> None:
    text = content.get("text") or "\n".join([*content.get("traceback", ()), ""])
    text = text if text.strip() else content.get("data", {}).get("text/plain", "") + "\n"
    sys.stderr.write(_plain(text))
    sys.stderr.flush()


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


async def _keep_saving(client, executed: str) -> None:
    while True:
        await asyncio.sleep(SAVING)
        if client.changed:
            client.changed = False
            _save(client.nb, executed)


def _save(notebook, path: str) -> None:
    import nbformat

    part = f"{path}.part"
    with open(part, "w", encoding="utf-8", errors="replace") as handle:  # lone surrogates
        handle.write(nbformat.writes(notebook))
    os.replace(part, path)


def _prctl(option: int, value: int) -> None:
    """Linux only: to become the parent of orphans below; to end with the parent."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
