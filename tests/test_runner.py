"""Submissions that do what they should not, each run for real, and what is left afterwards."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from published_layouts import write_sound

from qvim_kit.cli import organiser
from qvim_kit.submission.running import Limits, run_submission
from qvim_kit.submission.running import limits as watching
from qvim_kit.submission.running.isolation import check_isolation
from qvim_kit.submission.running.kept import KeptText, last_lines, remove, set_aside
from qvim_kit.submission.running.limits import _from_ps, below, processes, shared_once
from qvim_kit.submission.running.stages import STAGES, StageError

PATHS = '# mine\nROOT_PATH = "."  # here\nDATA_PATH = "data/qvim-dev"'
MODEL = """
names = {kind: sorted(path.name for path in Path(DATA_PATH, kind).rglob("*.wav"))
         for kind in ("Items", "Queries")}
scores = {query: {item: float(query[:3] == item[:3]) for item in names["Items"]}
          for query in names["Queries"]}
"""
WRITE = """
Path(ROOT_PATH, "output").mkdir(exist_ok=True)
Path(ROOT_PATH, "output", "similarities.json").write_text(json.dumps(scores))
"""
IMPORTS = "\nimport json, os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
# A daemon by the book, and with an environment of its own; TOKEN tells it from all others.
DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", TOKEN], {})
    os._exit(0)
"""
TOKEN = f"qvim-test-{os.getpid()}"
GB = 10**9

# name: (cells, limits, stage, what the reason holds)
HOSTILE = {
    "well behaved but untidy": (
        [DAEMON, "os.rmdir(os.getcwd())", 'print("x" * 100_000_000)', MODEL + WRITE]
        + ["print('MRR: 1.0000')"],
        {},
        "",
        "",
    ),
    "hangs and ignores signals": (
        [
            DAEMON + "for number in range(1, 32):\n"
            "    if number not in (9, 19): signal.signal(number, signal.SIG_IGN)\n"
            "print('before', flush=True)\nwhile True: pass"
        ],
        {"seconds": 3},
        "time",
        "ended after 3 s in cell 3",
    ),
    "eats memory in a child": (
        ["if os.fork() == 0:\n    a = bytearray(3 << 30)\n    time.sleep(600)\ntime.sleep(600)"],
        {"memory": GB},
        "memory",
        "allowed are 1.00 GB in cell 3 (if os.fork() == 0:)",
    ),
    "starts many processes": (
        ["for _ in range(40): subprocess.Popen(['sleep', '600'])\ntime.sleep(600)"],
        {"processes": 20},
        "processes",
        "allowed are 20 in cell 3",
    ),
    "leaves by the back door": ([MODEL + WRITE, "os._exit(3)"], {}, "process", "exit code 3 in c"),
    "crashes": (["os.kill(os.getpid(), signal.SIGSEGV)"], {}, "process", "signal SIGSEGV"),
    "kills who watches it": (
        [DAEMON + "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)"],
        {},
        "process",
        "cut off in cell 3",
    ),
    "says sys.exit": ([MODEL + WRITE, "sys.exit(0)"], {}, "cells", "cell 4 (sys.exit(0))"),
    "says exit": ([MODEL, "exit()", WRITE], {}, "cells", "cell 4 (exit()): SystemExit"),
    "writes its scores and fails": (
        [MODEL + WRITE, "x = 1\nraise RuntimeError('no' * 3_000_000)"],
        {},
        "cells",
        "cell 4 (x = 1), line 2: RuntimeError: nonono",
    ),
    "half a file": (
        ["os.mkdir(ROOT_PATH + '/output')\nPath(ROOT_PATH, 'output/similarities.json')"
         ".write_text('{\"a\": {\"b\": 0.5')"],
        {},
        "scores",
        "cannot be read as JSON",
    ),
    "wrong scores": (
        [MODEL + "del scores['a-0-q.wav']\nscores['b-1-q.wav']['a-0.wav'] = None" + WRITE],
        {},
        "scores",
        "1 of 4 queries missing: A/a-0-q.wav; query B/b-1-q.wav",
    ),
    "a pipe for a file": (
        ["os.mkdir(ROOT_PATH + '/output')\nos.mkfifo(ROOT_PATH + '/output/similarities.json')"],
        {},
        "output",
        "is a link, folder or device",
    ),
    "nothing": (["1 + 1"], {}, "output", "there is no output/similarities.json in ROOT_PATH"),
}  # fmt: skip


def make_data(folder):
    """Two classes of two items and a query of each, in the challenge's layout."""
    lines = ["QVIM,,,,,", "Label,Class,Items,Query 1,Query 2,Query 3"]
    for seed, (name, number) in enumerate((name, number) for name in "ab" for number in (0, 1)):
        item, query = f"{name}-{number}.wav", f"{name}-{number}-q.wav"
        write_sound(folder / "Items" / name.upper() / item, seed)
        write_sound(folder / "Queries" / name.upper() / query, 10 + seed)
        lines.append(f"{seed},{name.upper()},{item},{query},,")
    (folder / "DEV Dataset.csv").write_text("\n".join(lines))
    return folder


def write_notebook(path, *cells):
    """A title, the paths, and from the third on these cells."""
    sources = [PATHS + IMPORTS + f"TOKEN = {TOKEN!r}", *cells]
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), path)
    return path


def survivors():
    """Processes of this test's submissions that still run."""
    found = []
    for pid in processes():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if TOKEN in command:
            found.append((pid, command))
    return found


def limits(seconds=120, memory=8 * GB, processes=512):
    return Limits(seconds, memory, processes)


def run_one(folder, data, cells, **options):
    notebook = write_notebook(folder / "demo_1.ipynb", *cells)
    before = notebook.read_bytes(), notebook.stat().st_mtime_ns
    options.setdefault("limits", limits())
    run = run_submission(notebook, data, output=folder / "out", say=lambda _: None, **options)
    assert (notebook.read_bytes(), notebook.stat().st_mtime_ns) == before
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """All hostile submissions, a few at a time; name → run."""
    if sys.platform == "win32":
        pytest.skip("these submissions fork")

    def one(case):
        name, (cells, allowed, _, _) = case
        folder = tmp_path_factory.mktemp("run")
        return name, run_one(folder, data, cells, limits=limits(**allowed))

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(one, HOSTILE.items()))


@pytest.mark.parametrize("name", HOSTILE)
def test_the_stage_and_the_reason(runs, name):
    run, (_, _, stage, reason) = runs[name], HOSTILE[name]
    assert (run.stage, run.code) == (stage, STAGES[stage].code if stage else 0), run.headline
    assert reason in run.reason and "\n" not in run.headline and len(run.headline) < 600
    assert run.headline.startswith("demo_1.ipynb " + (f"failed at {stage}" if stage else "passed"))


@pytest.mark.parametrize("name", HOSTILE)
def test_both_reports_say_the_same(runs, name):
    run = runs[name]
    facts = json.loads((run.output / "report.json").read_text())
    page = (run.output / "report.html").read_text()
    assert (facts["team"], facts["number"], facts["passed"]) == ("demo", 1, not run.stage)
    assert (facts["stage"] or "", facts["exit_code"]) == (run.stage, run.code)
    assert len(page) < 1_000_000 and ("failed" if run.stage else "passed") in page
    assert "A run is no sandbox" in page and "All of it: log.txt" in page
    assert set(os.listdir(run.output)) >= {"log.txt", "report.html", "report.json"}
    assert nbformat.read(run.output / "executed.ipynb", 4).cells[1].source.count(str(run.data))


def test_nothing_survives_and_nothing_lies_about(runs, data):
    assert not survivors()
    used = [json.loads((run.output / "report.json").read_text())["used"] for run in runs.values()]
    assert all(found["memory"] > 10**7 and found["processes"] >= 1 for found in used)
    folders = [
        cell.source for cell in nbformat.read(runs["nothing"].output / "executed.ipynb", 4).cells
    ]
    root = Path(folders[1].split("ROOT_PATH = '")[1].split("'")[0])
    assert root.name == "root" and not root.parent.exists()
    assert sorted(path.name for path in data.rglob("*.wav"))[0] == "a-0-q.wav"


def test_what_passed_is_scored_and_what_it_printed_is_bounded(runs):
    run = runs["well behaved but untidy"]
    assert run.score.report.mrr == 1 and run.score.template.loc["MRR", "value"] == 1
    facts = json.loads((run.output / "report.json").read_text())
    assert facts["shown"]["executed"] == {"value": 1.0, "measured": 1.0, "agrees": True}
    assert "submitted" not in facts["shown"] and len(run.left) == 1
    assert run.log.stat().st_size < 6e6 and run.executed.stat().st_size < 6e6
    assert "cut off after" in run.executed.read_text()
    assert "MRR: 1.0000" in (run.output / "report.html").read_text()
    assert json.loads((run.output / "similarities.json").read_text())["a-0-q.wav"]["a-0.wav"] == 1


def test_what_came_before_the_end_is_kept(runs):
    run = runs["hangs and ignores signals"]
    assert "before" in run.log.read_text() and "before" in run.executed.read_text()
    assert [cell["cell"] for cell in runs["says sys.exit"].cells] == [2, 3]
    assert runs["leaves by the back door"].score is None


def test_an_earlier_file_is_not_taken_for_this_runs(tmp_path, data):
    older = tmp_path / "root" / "output" / "similarities.json"
    older.parent.mkdir(parents=True)
    older.write_text('{"older": "file"}')
    cell = "(Path(DATA_PATH) / 'Items' / 'A' / 'a-0.wav').write_bytes(b'RIFF')"
    changed = make_data(tmp_path / "changed")
    run = run_one(tmp_path, changed, [cell], root=tmp_path / "root")
    assert (run.stage, run.code) == ("data", 11) and "changed the data set" in run.reason
    assert not older.exists()
    assert older.with_name("similarities.previous.json").read_text() == '{"older": "file"}'


def test_a_row_more_in_the_table_is_a_change(tmp_path):
    """Readers pass over a row without files, and over a file beside the table."""
    table = "with open(DATA_PATH + '/DEV Dataset.csv', 'a') as file: file.write('x')"
    for number, change in enumerate([table, "open(DATA_PATH + '/cache.npy', 'w').close()"]):
        data = make_data(tmp_path / str(number) / "data")
        run = run_one(tmp_path / str(number), data, [MODEL + WRITE, change])
        assert (run.stage, run.code) == ("data", 11) and "changed the data set" in run.reason


def test_what_fails_before_anything_runs(tmp_path, data):
    broken = tmp_path / "broken_2.ipynb"
    for text, reason in (
        ("{", "no notebook of version 4"),
        (nbformat.writes(new_notebook()), "found no cell with code"),
        (nbformat.writes(new_notebook(cells=[new_code_cell("x = 1")])), "no cell assigns ROOT_"),
    ):
        broken.write_text(text)
        output = tmp_path / str(len(text))
        run = run_submission(broken, data, output=output, limits=limits(), say=print)
        assert (run.stage, run.code) == ("notebook", 10) and reason in run.reason
        assert "notebook" in (output / "report.html").read_text()
    fine = write_notebook(tmp_path / "fine_1.ipynb", "1")
    run = run_submission(fine, tmp_path, output=tmp_path / "o", limits=limits(), say=print)
    assert (run.stage, run.code) == ("data", 11) and "holds no data set" in run.reason
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(
        ValueError, match="no such file(?s:.*)not an empty folder(?s:.*)lies in --d"
    ):
        run_submission(
            tmp_path / "absent", data, output=tmp_path / "full", root=data, limits=limits()
        )


def test_two_files_of_one_base_name_are_the_organisers_fault(tmp_path):
    folder = make_data(tmp_path / "clash")
    (folder / "Items" / "B" / "a-0.wav").write_bytes(
        (folder / "Items" / "A" / "a-0.wav").read_bytes()
    )
    run = run_one(tmp_path, folder, ["1"])
    assert run.stage == "data" and "have one base name" in run.reason


# --- the command -----------------------------------------------------------------------------

COMMAND = """
import argparse, sys
from qvim_kit.cli import organiser
parser = argparse.ArgumentParser()
organiser.add_to_submission(parser.add_subparsers())
options = parser.parse_args()
sys.exit(options.run(options))
"""


def test_a_polite_kill_ends_the_submission_too(tmp_path, data):
    cell = DAEMON + "print('running', flush=True)\ntime.sleep(600)"
    notebook = write_notebook(tmp_path / "demo_1.ipynb", cell)
    command = [sys.executable, "-c", COMMAND, "run", str(notebook), "--data", str(data)]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(900):
            if survivors() and "running" in (tmp_path / "out" / "log.txt").read_text():
                break
            time.sleep(0.1)
        assert survivors()
    finally:
        process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert "A run is no sandbox" in out and "KeyboardInterrupt" in err
    assert not survivors()


def test_the_command_prints_one_line_of_reason_and_ends_with_the_stages_code(
    tmp_path, data, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "team_3.ipynb").write_text("[]")
    parser = argparse.ArgumentParser()
    organiser.add_to_submission(parser.add_subparsers())
    options = parser.parse_args(["run", "team_3.ipynb", "--data", str(data)])
    assert options.run(options) == 10
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("team_3.ipynb failed at notebook (10): ")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("team_3-") and str(folder / "report.html") in out
    options = parser.parse_args(["run", "absent_1.ipynb", "--data", str(data)])
    with pytest.raises(ValueError, match="absent_1.ipynb: no such file"):
        options.run(options)
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        parser.parse_args(["run", "--help"])
    help_text = capsys.readouterr().out
    assert "no sandbox" in help_text
    assert all(f"{stage.code}  {name}: " in help_text for name, stage in STAGES.items())


# --- isolation -------------------------------------------------------------------------------

PROBE = """
import glob, socket

def tried(what):
    try:
        what()
        return "possible"
    except Exception as error:
        return type(error).__name__

home = HOME
status = Path("/proc/self/status").read_text()
print("FOUND", json.dumps({
    "network": tried(lambda: socket.create_connection(("192.0.2.1", 80), timeout=5)),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "write to the system": tried(lambda: Path("/usr/qvim-test").write_text("")),
    "write to the data": tried(lambda: Path(DATA_PATH, "x").write_text("")),
    "write to a kernel setting": tried(lambda: open("/proc/sys/vm/swappiness", "w").write("60")),
    "read a secret in /tmp": tried(lambda: Path(SECRET).read_text()),
    "overwrite it, or so it seems": tried(lambda: Path(SECRET).write_text("")),
    "read the home": tried(lambda: Path(home, ".profile").read_text()),
    "sockets in /run": os.listdir("/run"),
    "processes": len([name for name in os.listdir("/proc") if name.isdigit()]),
    "capabilities": [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")],
    "write to the root": tried(lambda: Path(ROOT_PATH, "x").write_text("")),
    "write to the folder": tried(lambda: Path("x").write_text("")),
    "write to /tmp": tried(lambda: Path("/tmp/x").write_text("")),
}))
"""


@pytest.fixture
def bubblewrap():
    try:
        return check_isolation()
    except StageError as error:
        pytest.skip(error.reason)


def test_isolated_there_is_no_network_and_nothing_else_to_write_to(bubblewrap, tmp_path, data):
    secret = tmp_path / "secret"
    secret.write_text("mine")
    probe = f"SECRET = {str(secret)!r}\nHOME = {str(Path.home())!r}" + PROBE
    root = tmp_path / "root"
    run = run_one(tmp_path, data, [DAEMON + probe, MODEL + WRITE], isolate=True, root=root)
    assert not run.stage, run.headline + run.log.read_text()
    line = next(line for line in run.log.read_text().splitlines() if line.startswith("FOUND"))
    found = json.loads(line.removeprefix("FOUND"))
    assert found.pop("processes") < 10 and found.pop("interfaces") == ["lo"]
    assert found == {
        "network": "OSError",
        "write to the system": "OSError",
        "write to the data": "OSError",
        "write to a kernel setting": "OSError",
        "read a secret in /tmp": "FileNotFoundError",
        "overwrite it, or so it seems": "possible",
        "read the home": "FileNotFoundError",
        "sockets in /run": [],
        "capabilities": ["0000000000000000"],
        "write to the root": "possible",
        "write to the folder": "possible",
        "write to /tmp": "possible",
    }
    assert (root / "x").exists() and secret.read_text() == "mine" and not survivors()
    assert "Isolated by bubblewrap" in (run.output / "report.html").read_text()


def test_isolated_a_limit_ends_everything(bubblewrap, tmp_path, data):
    cell = DAEMON + "a = bytearray(2 << 30)\ntime.sleep(600)"
    run = run_one(tmp_path, data, [cell], isolate=True, limits=limits(memory=GB))
    assert run.stage == "memory" and not survivors()


@pytest.mark.parametrize("program", [None, "#!/bin/sh\necho 'no new namespace' >&2\nexit 1\n"])
def test_without_bubblewrap_or_its_permission_there_is_one_clear_error(
    tmp_path, data, monkeypatch, program
):
    if program:
        (tmp_path / "bwrap").write_text(program)
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    run = run_one(tmp_path, data, ["1"], isolate=True)
    assert (run.stage, run.code) == ("isolation", 12)
    assert ("no new namespace" if program else "no bubblewrap here") in run.reason
    assert "leave out --isolate" in run.reason


# --- parts -----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="there is no ps")
def test_ps_and_proc_see_the_same_tree(monkeypatch):
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600; true"])
    try:
        while len(by_proc := below(shell.pid)) < 3:
            time.sleep(0.01)
        monkeypatch.setattr("qvim_kit.submission.running.limits.processes", _from_ps)
        assert below(shell.pid).keys() == by_proc.keys()
    finally:
        for pid in by_proc:
            os.kill(pid, signal.SIGKILL)
        shell.wait()


def test_a_log_keeps_its_beginning_and_its_end(tmp_path):
    """A megabyte in, a few kilobytes kept, and the number of bytes that went is right."""
    log = KeptText(tmp_path / "log.txt", head=1_000, tail=2_000)
    script = "for n in range(100_000): print(f'{n:09}')"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        log.read(process.stdout)
    text = log.path.read_text()
    head, note, tail = re.fullmatch(
        r"(.*?)\n… ([\d,]+) bytes left out …\n(.*)", text, re.S
    ).groups()
    full = "".join(f"{n:09}\n" for n in range(100_000))
    assert full.startswith(head) and full.endswith(tail) and len(tail) >= 2_000
    assert len(head) + len(tail) + int(note.replace(",", "")) == len(full)
    assert len(text) < 200_000
    (tmp_path / "bar").write_text("\x1b[31m10 %\r50 %\r100 %\x1b[0m\ndone\r\n")
    assert last_lines(tmp_path / "bar") == ["100 %", "done"]


def test_folders_are_removed_and_links_out_of_them_are_not_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o755)
    (kept / "file").write_text("")
    folder = tmp_path / "work" / "closed" / "deep"
    folder.mkdir(parents=True)
    (folder / "out").symlink_to(kept)
    folder.parent.chmod(0)
    remove(tmp_path / "work")
    assert not (tmp_path / "work").exists()
    assert (kept / "file").exists() and kept.stat().st_mode & 0o777 == 0o755


def test_what_an_earlier_run_left_is_set_aside_whatever_it_is(tmp_path):
    path, older = tmp_path / "s.json", tmp_path / "s.previous.json"
    set_aside(path)
    path.mkdir()
    set_aside(path)
    path.write_text("second")
    set_aside(path)
    path.symlink_to(tmp_path / "nowhere")
    assert older.read_text() == "second" and not path.exists()
    set_aside(path)
    assert older.is_symlink() and not os.path.lexists(path)


def test_a_fork_bomb_is_ended_before_each_process_is_asked_for_its_memory(monkeypatch):
    """To ask takes milliseconds a process, in which a bomb makes more of them."""
    many = {number: watching.Process(1, GB, "python") for number in range(100)}
    monkeypatch.setattr(watching, "below", lambda root: many)
    asked = []
    monkeypatch.setattr(watching, "shared_once", lambda *_: asked.append(1) or 0)

    def usage(**allowed):
        ready = threading.Event()
        ready.set()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            return watching.watch(process, limits(**allowed), ready, threading.Event())

    assert usage(processes=50).exceeded == "processes"
    assert usage(seconds=0.0).exceeded == "time" and not asked
    assert usage(seconds=0.3).exceeded == "time" and asked


def test_memory_is_counted_no_further_than_needed():
    gone = {-number: watching.Process(1, 10, "x") for number in range(1, 6)}
    for_ever = time.monotonic() + 1e9
    assert shared_once(gone, 1000, for_ever) == 50
    assert shared_once(gone, 15, for_ever) == 20
    assert shared_once(gone, 1000, time.monotonic() - 1) == 0


def test_memory_that_processes_share_counts_once():
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("this system does not tell what processes share")
    script = (
        "import os, time\nblock = bytearray(os.urandom(1 << 20)) * 200\n"
        "for _ in range(4):\n    if not os.fork(): break\n"
        "print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            for _ in range(5):
                process.stdout.readline()
            tree = below(process.pid)
            assert sum(one.memory for one in tree.values()) > 5 * 200 << 20
            for_ever = time.monotonic() + 1e9
            assert 200 << 20 < shared_once(tree, 1 << 40, for_ever) < 400 << 20
        finally:
            for pid in below(process.pid):
                os.kill(pid, signal.SIGKILL)
