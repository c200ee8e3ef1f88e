import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from qvim_kit.cli import demo, main

START = [sys.executable, "-m", "qvim_kit.cli", "demo", "--library", "nowhere"]


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


def test_what_voila_said_is_told_where_it_does_not_start(own_folders, capsys):
    pytest.importorskip("voila", reason="voila is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("qvim: Voila did not start:\n") and str(port) in error
