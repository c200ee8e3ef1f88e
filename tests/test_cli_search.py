import os
import shutil

import numpy as np
import pytest
import soundfile

from qvim_kit.cli import main

RATE = 8_000


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def library(tmp_path):
    """Pulses, fast and slow, in two folders."""
    rng = np.random.default_rng(0)
    for kind, rates in (("Fast", (8, 9, 10)), ("Slow", (2, 3))):
        (tmp_path / "sounds" / kind).mkdir(parents=True)
        for rate in rates:
            pulses = np.sin(np.pi * rate * np.arange(2 * RATE) / RATE) ** 20
            noise = 0.3 * rng.normal(size=2 * RATE)
            path = tmp_path / "sounds" / kind / f"é {rate}.wav"
            soundfile.write(path, pulses * noise, RATE)
            os.utime(path, (1e9, 1e9))  # a file just written would be looked at again
    return tmp_path / "sounds"


def run(capsys, *arguments):
    code = main([*map(str, arguments), "--system", "2dft"])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_index_then_search(library, capsys, tmp_path):
    code, out, err = run(capsys, "index", library)
    assert code == 0 and not out
    assert "2DFT: 5 sounds in 2 classes" in err and "(5 new, 0 changed, 0 gone)" in err
    query = library / "Slow" / "é 3.wav"
    code, out, err = run(capsys, "search", library, query, "-k", "3")
    assert code == 0 and "(0 new, 0 changed, 0 gone)" in err and "indexing" not in err
    assert out[0].startswith("é 3.wav among 5 sounds, ")
    assert len(out) == 4 and out[1] == "1   1.000  Slow/é 3.wav"
    assert len(list((tmp_path / "cache" / "indexes").iterdir())) == 1


def test_search_builds_what_is_needed_and_keeps_up(library, capsys):
    query = library.parent / "query.wav"
    shutil.copy(library / "Fast" / "é 9.wav", query)
    _, out, err = run(capsys, "search", library, query)
    assert "(5 new" in err and len(out) == 6 and out[1].endswith("1.000  Fast/é 9.wav")
    shutil.move(library / "Fast" / "é 9.wav", library / "moved.wav")
    (library / "bad.wav").write_bytes(b"")
    code, out, err = run(capsys, "search", library, query)
    assert code == 0 and "(1 new, 0 changed, 1 gone)" in err and "1 files left out" in err
    assert out[1].endswith("1.000  moved.wav")


def test_filters(library, capsys):
    query = library / "Slow" / "é 3.wav"
    _, out, _ = run(capsys, "search", library, query, "--class", "Fast")
    assert out[0].startswith("é 3.wav among 3 of 5 sounds, ") and len(out) == 4
    _, out, _ = run(capsys, "search", library, query, "--class", "Fast", "--class", "Slow")
    assert len(out) == 6
    _, out, _ = run(capsys, "search", library, query, "--contains", "É FAST 10")
    assert len(out) == 2 and out[1].endswith("Fast/é 10.wav")
    code, out, _ = run(capsys, "search", library, query, "--contains", "thunder")
    assert code == 0 and out[1] == "no sound has what --contains and --class ask for"
    code, _, err = run(capsys, "search", library, query, "--class", "fast")
    assert code == 1 and "--class fast: no sound has it; expected such as Fast" in err


def test_an_index_in_a_folder_of_ones_own(library, capsys, tmp_path):
    code, _, _ = run(capsys, "index", library, "-o", tmp_path / "mine")
    assert code == 0 and (tmp_path / "mine" / "index.json").is_file()
    assert not (tmp_path / "cache" / "indexes").exists()
    _, out, err = run(capsys, "search", tmp_path / "mine", library / "Slow" / "é 2.wav")
    assert "(0 new" in err and out[1].endswith("Slow/é 2.wav")
    code = main(["index", str(library), "-o", str(tmp_path / "mine"), "--system", "m-vggish"])
    assert code == 1


def test_index_names_bad_files(library, capsys):
    (library / "bad.wav").write_bytes(b"")
    code, _, err = run(capsys, "index", library)
    assert code == 1 and "not indexed: " in err and "bad.wav: is empty" in err
    assert "5 sounds" in err and "1 files could not be indexed" in err


def test_what_cannot_be_is_one_line(library, capsys, tmp_path):
    query = library / "Slow" / "é 3.wav"
    (tmp_path / "none").mkdir()
    for arguments, message in (
        (("index", tmp_path / "absent"), "absent: nothing, no folder"),
        (("index", query), "a file, no folder"),
        (("index", tmp_path / "none"), "no audio files in it"),
        (("search", library, tmp_path / "absent.wav"), "absent.wav: no such file"),
        (("search", library, query, "-k", "0"), "-k 0: expected 1 or more"),
    ):
        code, out, err = run(capsys, *arguments)
        assert code == 1 and not out and message in err
        assert err.startswith("qvim: ") and err.count("\n") == 1


def test_words_need_a_system_that_reads_them(library, capsys):
    assert main(["search", str(library), "--system", "2dft", "--text", "a dog"]) == 1
    assert "--text: 2DFT reads no words" in capsys.readouterr().err
    assert main(["search", str(library), "--system", "2dft"]) == 1
    assert "expected either a recording or --text" in capsys.readouterr().err


def test_the_recording_may_follow_the_options(library, capsys):
    query = next(library.rglob("*.wav"))
    assert main(["search", str(library), "--system", "2dft", "-k", "1", str(query)]) == 0
    assert query.name in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["search", str(library), "-k", "1", str(query), "another.wav"])
