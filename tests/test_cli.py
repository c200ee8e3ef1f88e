import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from qvim_kit.cli import main
from qvim_kit.datasets.mini import build_mini
from qvim_kit.systems import TwoDFT, score


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A tiny data set in the challenge's layout, and 2DFT similarities for it."""
    folder = build_mini(tmp_path_factory.mktemp("cli") / "small", ["Bell", "Rain"], 2)
    from qvim_kit.datasets import read_qvim_dev

    table = score(TwoDFT(), read_qvim_dev(folder))
    path = folder.parent / "similarities.json"
    path.write_text(json.dumps(table.to_dict("index")))
    return folder, path


def test_importing_the_package_and_the_command_loads_nothing_heavy():
    code = (
        "import qvim_kit.cli, sys; print(*{'torch', 'librosa', 'pandas', 'scipy'} & {*sys.modules})"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_evaluate_prints_the_report(small, capsys):
    folder, path = small
    assert main(["evaluate", str(path), "--data", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "similarities on small" in out and "MRR" in out and "8 queries, 4 items ranked" in out
    assert main(["evaluate", str(path), "--data", str(folder), "--markdown"]) == 0
    assert "| MRR | " in capsys.readouterr().out


def test_problems_are_one_message_without_traceback(small, capsys, tmp_path):
    folder, path = small
    table = json.loads(path.read_text())
    del table["Bell/Bell_1_imitation_1.wav"]
    (tmp_path / "less.json").write_text(json.dumps(table))
    assert main(["evaluate", str(tmp_path / "less.json"), "--data", str(folder)]) == 1
    err = capsys.readouterr().err
    assert "missing" in err and "Bell/Bell_1_imitation_1.wav" in err and "Traceback" not in err
    assert main(["evaluate", str(path), "--data", str(tmp_path)]) == 1
    assert "holds no data set" in capsys.readouterr().err
    worst = ["evaluate", str(tmp_path / "less.json"), "--data", str(folder), "--missing", "worst"]
    assert main(worst) == 0
    assert "4 scores missing" in capsys.readouterr().out


def test_package_keywords_are_told_as_options(small, capsys, tmp_path):
    import shutil

    folder = shutil.copytree(small[0], tmp_path / "small")
    (folder / "Queries" / "Bell" / "Bell_1_imitation_1.wav").unlink()
    evaluate = ["evaluate", str(small[1]), "--data", str(folder)]
    assert main(evaluate) == 1
    err = capsys.readouterr().err
    assert "or pass --allow-missing to leave those rows out" in err and "=True" not in err
    before = warnings.formatwarning
    with pytest.warns(UserWarning, match="left out 1 file"):
        assert main([*evaluate, "--allow-missing"]) == 0
    assert "7 queries, 4 items ranked" in capsys.readouterr().out
    assert warnings.formatwarning is before


def test_warnings_are_one_line_without_source(monkeypatch, capsys):
    from qvim_kit.cli import data

    def warned(options):
        print(warnings.formatwarning(UserWarning("a\nb"), UserWarning, "code.py", 7), end="")

    monkeypatch.setattr(data, "_data_mini", warned)
    assert main(["data", "mini"]) == 0
    assert capsys.readouterr().out == "qvim: warning: a b\n"


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    from qvim_kit.cli import data

    def stopped(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "_data_mini", stopped)
    assert main(["data", "mini"]) == 130
    captured = capsys.readouterr()
    assert captured.out + captured.err == "qvim: stopped\n"


def test_train_lists_its_presets(capsys):
    from qvim_kit.cli.train import PRESETS
    from qvim_kit.training.language_presets import LANGUAGE_PRESETS
    from qvim_kit.training.presets import PRESETS as VOICE_PRESETS

    assert {*PRESETS} == {*VOICE_PRESETS, *LANGUAGE_PRESETS}
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and line in out for name, line in PRESETS.items())
    assert all(len(line) <= 80 for line in out.splitlines()[-len(PRESETS) :])


def test_train_refuses_before_any_work(small, capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_text("")
    train = ["train", "--preset", "laptop", "--data", str(tmp_path / "nowhere")]
    assert main([*train, "-o", str(tmp_path / "run")]) == 1
    err = capsys.readouterr().err
    assert "holds last.ckpt of an earlier run; continue it with --resume" in err
    assert main([*train[:2], "laptob", *train[3:], "-o", str(tmp_path / "new")]) == 1
    assert "--preset laptob: did you mean laptop?" in capsys.readouterr().err
    words = ["train", "--preset", "dcase-6b", "--data", str(small[0] / "Items")]
    assert main([*words, "--hold-out", "Bell", "-o", str(tmp_path / "new")]) == 1
    assert "holds no data set" in capsys.readouterr().err


def test_embed_keeps_the_good_and_names_the_bad(small, capsys, tmp_path):
    folder, _ = small
    sounds = tmp_path / "sounds"
    (sounds / "deep er").mkdir(parents=True)
    for number, path in enumerate(sorted(folder.glob("Items/*/*.wav"))):
        (sounds / "deep er" / f"{number}.WAV").write_bytes(path.read_bytes())
    (sounds / "broken.wav").write_bytes(b"RIFF")
    (sounds / "empty.flac").write_bytes(b"")
    (sounds / "notes.txt").write_text("not audio, not looked at")
    (sounds / ".trash").mkdir()
    (sounds / ".trash" / "thrown away.wav").write_bytes(b"RIFF")
    output = tmp_path / "embeddings.npz"
    assert main(["embed", str(sounds), "-o", str(output), "--system", "2dft"]) == 1
    captured = capsys.readouterr()
    assert "broken.wav" in captured.err and "empty.flac" in captured.err
    assert "2 of 6 files could not be embedded" in captured.err and "notes" not in captured.err
    stored = np.load(output)
    assert sorted(map(Path, stored["paths"])) == [Path("deep er") / f"{n}.WAV" for n in range(4)]
    assert stored["embeddings"].shape == (4, 63 * 626)
    assert not list(tmp_path.glob("*.part*"))


def test_embed_states_what_it_looked_for(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "._debris.wav").write_text("what macOS leaves beside its files")
    for folder, message in (
        (tmp_path / "absent", "found nothing, expected a folder"),
        (tmp_path / "file", "found a file, expected a folder"),
        (tmp_path, "no audio files"),
    ):
        assert main(["embed", str(folder), "-o", str(tmp_path / "x.npz"), "--system", "2dft"]) == 1
        assert message in capsys.readouterr().err
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8_000)
    (tmp_path / "folder.npz").mkdir()
    for output, message in (
        (tmp_path / "no" / "x.npz", "is no folder that can be written"),
        (tmp_path, "is a folder, expected a file"),
        (tmp_path / "folder.npz", "is a folder, expected a file"),
    ):
        assert main(["embed", str(tmp_path), "-o", str(output), "--system", "2DFT"]) == 1
        assert message in capsys.readouterr().err
    assert main(["embed", str(tmp_path), "-o", str(tmp_path / "x"), "--system", "mfcc"]) == 1
    found = "system: found 'mfcc', expected one of 2dft, m-vggish, qvim-mn04, mn01_as, "
    assert found in capsys.readouterr().err


def test_embed_takes_the_system_that_search_takes(small, capsys, tmp_path, own_cache):
    """The one that comes with the kit: nothing is downloaded."""
    folder, output = tmp_path / "sounds", tmp_path / "sounds.npz"
    folder.mkdir()
    sound = next(small[0].glob("Items/*/*.wav"))
    (folder / "a.wav").write_bytes(sound.read_bytes())
    assert main(["embed", str(folder), "-o", str(output)]) == 0
    assert "1 embeddings of qvim-mn04" in capsys.readouterr().out and output.is_file()
    for command in ("embed", "index", "search"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told = " ".join(capsys.readouterr().out.split())
        assert "(default: qvim-mn04, which" in told and "exit code" in told


def test_embed_writes_npz_alone(small, capsys, tmp_path):
    embed = ["embed", str(small[0] / "Items"), "--system", "2dft", "-o"]
    assert main([*embed, str(tmp_path / "e.csv")]) == 1
    assert "e.csv: found .csv, expected .npz" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main([*embed, str(tmp_path / "e")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["e.npz"]


def test_embed_without_weights_says_which_file_to_put_where(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_CACHE", str(tmp_path / "cache"))
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8_000)
    embed = ["embed", str(tmp_path), "--system", "mn04_as", "-o", str(tmp_path / "x.npz")]
    assert main(embed) == 1
    err = capsys.readouterr().err
    assert "put mn04_as_mAP_432.pt" in err and str(tmp_path / "cache") in err


def test_data_fetch_offline_says_what_to_do(capsys, tmp_path):
    assert main(["data", "fetch", "qvim-dev", "--folder", str(tmp_path / "dev")]) == 1
    err = capsys.readouterr().err
    assert "qvim-dev.zip" in err and str(tmp_path / "dev") in err and "Traceback" not in err


def test_data_check_lists_what_is_wrong(small, capsys, tmp_path):
    import shutil

    folder = shutil.copytree(small[0], tmp_path / "small")
    assert main(["data", "check", str(folder)]) == 0
    (folder / "Items" / "Bell" / "Bell_1.wav").write_bytes(b"")
    capsys.readouterr()
    assert main(["data", "check", str(folder)]) == 1
    assert "Bell_1.wav" in capsys.readouterr().out


def test_data_check_takes_any_sounds_for_a_library(small, capsys, tmp_path):
    import shutil

    shutil.copytree(small[0] / "Items", tmp_path / "sounds")
    assert main(["data", "check", str(tmp_path / "sounds")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("sounds, taken as a library of sounds (no queries): 4 files, ")
    (tmp_path / "none").mkdir()
    assert main(["data", "check", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().out.startswith("none: no sounds: 1 problem\n")


def test_data_mini_says_where_it_is(capsys):
    assert main(["data", "mini"]) == 0
    out = capsys.readouterr().out
    assert "192 queries, 96 items in 12 classes" in out and "qvim-mini" in out


def test_a_log_holds_two_lines_of_a_bar_and_not_ten_a_second(small, tmp_path):
    folder, _ = small
    command = [sys.executable, "-m", "qvim_kit.cli", "embed", folder / "Queries", "--system"]
    command += ["2dft", "-o", tmp_path / "embeddings.npz"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert 1 <= log.count("file/s") <= 2, log
