import http.server
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
import soundfile

from qvim_kit.cli import demo, main

START = [sys.executable, "-m", "qvim_kit.cli", "demo"]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    for name in ("TMPDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def test_without_voila_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    assert main(["demo"]) == 1
    assert (
        capsys.readouterr().err == "qvim: the demo needs Voila; run: pip install 'qvim-kit[demo]'\n"
    )


def test_the_notebook_is_one_cell_with_what_was_asked_for():
    (cell,) = demo.demo_notebook("my 'sounds'", ["2dft", "mn04_as"])["cells"]
    assert cell["source"].endswith("""SearchByVoice("my 'sounds'", ['2dft', 'mn04_as'])""")
    assert demo.demo_notebook(None, None)["cells"][0]["source"].endswith("(None, None)")
    compile(cell["source"], "cell", "exec")


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_nothing_left(own_folders, ending):
    pytest.importorskip("voila", reason="voila is not installed")
    # What runs in a shell's background is started deaf to Ctrl-C, and so is what it starts.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command = subprocess.Popen(START, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, heard)
    try:
        url = command.stdout.readline().removeprefix("Search by voice: ").strip()
        address, _, token = url.partition("?token=")
        assert address.startswith("http://127.0.0.1:") and len(token) >= 32
        assert "/login" in urllib.request.urlopen(address, timeout=10).url  # it needs the token
        command.send_signal(ending)
        assert command.wait(30) == 130
        assert command.stderr.read() == "qvim: stopped\n"
    finally:
        command.kill()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=2)
    assert not list((own_folders / "TMPDIR").glob("qvim-demo-*"))


def test_what_voila_said_is_told_where_it_does_not_start(own_folders):
    pytest.importorskip("voila", reason="voila is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(RuntimeError, match="^Voila did not start:") as told,
            demo.serving(None, None, port),
        ):
            pass
    assert str(port) in str(told.value)


def test_no_proxy_stands_before_this_computer(monkeypatch, tmp_path):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nobody listens
    monkeypatch.setattr(demo, "PATIENCE", 5)
    (tmp_path / "said").touch()
    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running = type("Server", (), {"poll": lambda self: None})()
        demo._await(running, f"http://127.0.0.1:{server.server_port}/", tmp_path / "said")
        server.shutdown()


def test_the_page_looks_where_the_command_line_looked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QVIM_DATA", "sounds")
    monkeypatch.delenv("QVIM_CACHE", raising=False)
    given = {}

    def start(command, env, **_):
        given.update(env)
        raise OSError("it would start")

    monkeypatch.setattr(demo.subprocess, "Popen", start)
    with pytest.raises(OSError, match="it would start"), demo.serving(None, None):
        pass
    assert given["QVIM_DATA"] == str(tmp_path.resolve() / "sounds") and "QVIM_CACHE" not in given


@pytest.fixture
def with_voila(monkeypatch):
    """As if Voila were installed."""
    real = demo.importlib.util.find_spec
    monkeypatch.setattr(
        demo.importlib.util, "find_spec", lambda name, *_: name == "voila" or real(name, *_)
    )


def test_what_cannot_be_is_told_before_a_server_starts(
    own_folders, with_voila, capsys, monkeypatch
):
    monkeypatch.setattr(demo, "serving", lambda *arguments: pytest.fail("it started"))
    (own_folders / "empty").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, message in (
            (["--port", "-5"], "--port -5: expected 1 to 65535, or 0"),
            (["--port", "65536"], "--port 65536: expected"),
            (["--port", port], f"--port {port}: another program uses it; choose another"),
            (["--library", own_folders / "no"], "no: found nothing, expected a folder of sounds"),
            (["--library", "qvim-mimi"], "; did you mean qvim-mini?"),
            (["--library", "minni"], "; did you mean mini?"),
            (["--library", __file__], "test_demo.py: found a file, expected a folder"),
            (["--library", own_folders / "empty"], "no audio files in it"),
            (["--system", "2dft", "--system", "2dtf"], "; did you mean 2dft?"),
            (["--system", "2DFT", "--system", "2dft"], "--system 2dft: found twice"),
        ):
            assert main(["demo", *map(str, arguments)]) == 1
            error = capsys.readouterr().err
            assert error.startswith("qvim: ") and message in error and error.count("\n") == 1


def test_what_is_checked_reaches_the_page(own_folders, with_voila, monkeypatch, capsys):
    def serving(*arguments):
        raise RuntimeError(repr(arguments))

    monkeypatch.setattr(demo, "serving", serving)
    monkeypatch.chdir(own_folders)
    soundfile.write("a.wav", np.ones(800) / 2, 8_000)
    for library, expected in (("mini", "qvim-mini"), (".", str(own_folders))):
        assert main(["demo", "--library", library, "--system", "M-VGGISH"]) == 1
        assert f"({expected!r}, ['m-vggish'], 0, 'light')" in capsys.readouterr().err


def test_a_second_system_that_cannot_be_loaded_is_left_out_with_a_warning(own_folders):
    pytest.importorskip("anywidget", reason="anywidget is not installed")
    from qvim_kit.widgets import SearchByVoice

    def missing():
        raise OSError("no weights here")

    soundfile.write(own_folders / "a.wav", np.random.default_rng(0).normal(size=8_000) / 9, 8_000)
    page = SearchByVoice(own_folders, {"2DFT": "2dft", "second": missing}, examples={}).wait(60)
    assert list(page.indexes) == ["2DFT"]
    assert "second cannot be loaded, so it is left out: no weights" in page._index["warning"]
    page = SearchByVoice(own_folders, {"first": missing, "2DFT": "2dft"}, examples={})
    with pytest.raises(RuntimeError, match="Cannot be searched: no weights here"):
        page.wait(60)
