"""`qvim demo`: search by voice as a page of its own, on this computer only."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ADDRESS = "127.0.0.1"  # others cannot reach it; and browsers give the microphone to local pages
TITLE = "Search by voice"
PATIENCE = 60.0  # s until Voila answers
IDLE = 600  # s after which the kernel of a page that was closed ends


def add_to(commands: argparse._SubParsersAction) -> None:
    demo = commands.add_parser("demo", help="search by voice in the browser, without a notebook")
    demo.add_argument("--library", help="a folder, or the name of a data set (default: qvim-mini)")
    demo.add_argument(
        "--system", action="append", help="what searches, such as 2DFT; twice to compare two"
    )
    demo.add_argument("--port", type=int, default=0, help="default: one that is free")
    demo.add_argument("--theme", choices=("light", "dark"), default="light")
    demo.add_argument("--open", action="store_true", help="open the page in the browser")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    import webbrowser

    if importlib.util.find_spec("voila") is None:
        raise RuntimeError("the demo needs Voila; run: pip install 'qvim-kit[demo]'")
    # Ended by a supervisor or a closed terminal, it must leave no server behind, either.
    before = {one: signal.signal(one, _as_ctrl_c) for one in _endings()}
    library = options.library
    if library and Path(library).is_dir():
        library = os.path.abspath(library)
    try:
        with serving(library, options.system, options.port, options.theme) as (url, server):
            print(f"{TITLE}: {url}\nCtrl-C ends it.", flush=True)
            if options.open:
                webbrowser.open(url)
            server.wait()
        raise RuntimeError(f"Voila ended by itself, exit status {server.returncode}")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def serving(
    library: str | None, systems: list[str] | None, port: int = 0, theme: str = "light"
) -> Iterator[tuple[str, subprocess.Popen]]:
    """The page's URL, token included, and its server, which ends with the block.

    Raises `RuntimeError` with what Voila said where it does not start.
    """
    port, token = port or _free_port(), secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="qvim-demo-", ignore_cleanup_errors=True) as folder:
        notebook = Path(folder) / f"{TITLE}.ipynb"
        notebook.write_text(json.dumps(demo_notebook(library, systems)), encoding="utf-8")
        said = Path(folder) / "voila.log"
        command = [
            sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}",
            f"--Voila.ip={ADDRESS}", "--Voila.port_retries=0", "--Voila.auto_token=True",
            f"--theme={theme}",
            f"--MappingKernelManager.cull_idle_timeout={IDLE}",
        ]  # fmt: skip
        # By the environment: anyone on the machine can read a command line.
        own = {**os.environ, "JUPYTER_TOKEN": token}
        with said.open("wb") as log:
            server = subprocess.Popen(
                command, stdout=log, stderr=log, env=own, start_new_session=True
            )
        url = f"http://{ADDRESS}:{port}/?token={token}"
        try:
            _await(server, f"http://{ADDRESS}:{port}/", said)
            yield url, server
        finally:
            _stop(server)


def demo_notebook(library: str | None, systems: list[str] | None) -> dict:
    """The notebook behind the page: one cell."""
    source = (
        "from qvim_kit.widgets import SearchByVoice\n\n"
        f"SearchByVoice({library!r}, {(systems or None)!r})"
    )
    cell = {"cell_type": "code", "id": "search", "metadata": {}, "outputs": []}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [{**cell, "execution_count": None, "source": source}]
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def _await(server: subprocess.Popen, url: str, said: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it answers, if only that a token is missing
        except OSError:
            time.sleep(0.1)
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise RuntimeError("Voila did not start:\n" + "\n".join(lines[-8:]))


def _stop(server: subprocess.Popen) -> None:
    """End Voila, which ends its kernels; by force if it takes longer than 10 s."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _endings() -> list[signal.Signals]:
    names = ("SIGTERM", "SIGHUP")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def _as_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return probe.getsockname()[1]
