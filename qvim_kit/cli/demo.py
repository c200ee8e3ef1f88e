"""`qvim demo`: search by voice as a page of its own, on this computer only."""

from __future__ import annotations

import argparse
import contextlib
import errno
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
from difflib import get_close_matches
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
    library, systems = _checked_library(options.library), _checked_systems(options.system)
    _check_port(options.port)
    # Ended by a supervisor or a closed terminal, it must leave no server behind, either.
    before = {one: signal.signal(one, _as_ctrl_c) for one in _endings()}
    try:
        with serving(library, systems, options.port, options.theme) as (url, server):
            print(f"{TITLE}: {url}\nCtrl-C ends it.", flush=True)
            if options.open:
                webbrowser.open(url)
            server.wait()
        raise RuntimeError(f"Voila ended by itself, exit status {server.returncode}")
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _checked_library(given: str | None) -> str | None:
    """The library as the page's notebook, which runs elsewhere, opens it.

    Raises `ValueError` where there is nothing to search.
    """
    from qvim_kit.datasets import DATASETS, find_layout
    from qvim_kit.search.library import Library
    from qvim_kit.widgets.choices import FOLDER, MINI, open_library

    if given is None or given.casefold() in ("mini", MINI):
        return given and MINI
    if given in DATASETS:
        find_layout(given)  # says how to fetch it where it is not there
        return given
    path = Path(given).expanduser()
    if not path.exists():
        names = ["mini", *DATASETS]
        close = get_close_matches(given.casefold(), names, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(
            f"--library {given}: found nothing, expected a folder of sounds or one of "
            f"{', '.join(names)}{meant}"
        )
    Library.of(open_library(FOLDER, str(path))).scan()  # raises where nothing is in it
    return os.path.abspath(path)


def _checked_systems(given: list[str] | None) -> list[str] | None:
    """The systems by their names or absolute paths. Raises `ValueError` for what is none."""
    from qvim_kit.systems.named import check_system

    names = [check_system(name) for name in given or ()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"--system {twice[0]}: found twice, expected different ones to compare")
    return names or None


def _check_port(port: int) -> None:
    """Raises `ValueError` for a port that is none or is not to be had."""
    if not 0 <= port < 1 << 16:
        raise ValueError(f"--port {port}: expected 1 to 65535, or 0 for one that is free")
    with socket.socket() as probe:
        if os.name == "posix":  # a port that was just given back is free for Voila, too
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            found = "another program uses it" if used else (error.strerror or str(error)).lower()
            raise ValueError(
                f"--port {port}: {found}; choose another, or leave --port out for a free one"
            ) from None


@contextlib.contextmanager
def serving(
    library: str | None, systems: list[str] | None, port: int = 0, theme: str = "light"
) -> Iterator[tuple[str, subprocess.Popen]]:
    """The page's URL, token included, and its server, which ends with the block.

    Raises `RuntimeError` with what Voila said where it does not start.
    """
    from qvim_kit.paths import kernel_environment
    from qvim_kit.widgets.page import TEMPLATE, lay_out_template

    port, token = port or _free_port(), secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="qvim-demo-", ignore_cleanup_errors=True) as folder:
        notebook = Path(folder) / f"{TITLE}.ipynb"
        notebook.write_text(json.dumps(demo_notebook(library, systems)), encoding="utf-8")
        said = Path(folder) / "voila.log"
        command = [
            sys.executable, "-m", "voila", str(notebook), "--no-browser", f"--port={port}",
            f"--Voila.ip={ADDRESS}", "--Voila.port_retries=0", "--Voila.auto_token=True",
            f"--theme={theme}", f"--template={TEMPLATE}",
            f"--MappingKernelManager.cull_idle_timeout={IDLE}",
        ]  # fmt: skip
        # By the environment: anyone on the machine can read a command line.
        own = {**kernel_environment(), **lay_out_template(folder), "JUPYTER_TOKEN": token}
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
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy is asked
    while time.monotonic() < until and server.poll() is None:
        try:
            opener.open(url, timeout=2).close()
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
