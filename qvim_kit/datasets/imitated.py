"""Any folder of sounds → a data set of sounds and imitations of them that nobody had to record.

The layout is QVIM-dev's, so that everything that reads one reads the other. Notebook: 02_augment.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from qvim_kit import synth
from qvim_kit.audio import AudioError, audio_files, load_audio, prepare
from qvim_kit.datasets import versions as versions_module
from qvim_kit.datasets.building import built_beside, is_free, write_sound
from qvim_kit.datasets.libraries import library_sounds
from qvim_kit.datasets.qvim_dev import QVIM_DEV_COLUMNS, QVIM_DEV_TABLE, read_qvim_dev
from qvim_kit.datasets.tables import DatasetError, RetrievalDataset
from qvim_kit.datasets.versions import LONGEST_S, SAMPLE_RATE, SHORTEST_S, changed


def imitate_sounds(
    sources: str | os.PathLike | Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    takes: int = 8,
    versions: int = 1,
    seed: int = 0,
    voices: str | os.PathLike | None = None,
    mosaic: float | None = None,
    workers: int = 1,
    exclude: str | Sequence[str] = (),
) -> RetrievalDataset:
    """Imitate every sound below ``sources``; each take is another speaker's.

    Written are ``Items/<class>/*.flac`` and ``Queries/<class>/*.flac`` at 32 kHz, silence trimmed
    and levels made equal (`audio.prepare`), the table, and ``sources.json``, which tells what each
    item was made from and which files were left out. The class is the first folder below the
    source. Of files that differ in nothing but the suffix the first is taken; of one name from
    several sources all are, the second as ``name__2``. What was made from the same sources,
    unchanged, with the same arguments is used again.

    Args:
        sources: folders of sounds, 0.06 s or longer; only their first 10 s are imitated.
        folder: for the data set; made beside it and moved there when complete.
        takes: imitations of each sound, and of each of its versions.
        versions: more than 1 adds changed sounds, each an item of its own (see the module
            `versions`): a small library then teaches more than its own sounds.
        seed: of the speakers, ``synth.Speaker.random`` of 1 000 to 101 000 + 1 000 000 · seed.
        voices: recordings of 0.3 s or longer of several speakers, as `synth.VoiceGrains` reads
            them; a share of the takes is then pieced together from their grains.
        mosaic: that share, one half if left out.
        workers: processes.
        exclude: patterns, as a shell has, of sounds to leave out: those that you will test on,
            ``"*bell*"`` (see `library_sounds`).

    Raises `DatasetError` where there is no sound or no voice, or the folder holds something else,
    and `ValueError` for arguments that cannot be.
    """
    from tqdm.auto import tqdm

    _check(takes, versions, seed, mosaic, workers, voices)
    mosaic = 0.0 if voices is None else 0.5 if mosaic is None else float(mosaic)
    sources = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    folder = Path(os.path.abspath(folder))
    _require_outside(folder, sources)
    files, unlisted = library_sounds(sources, exclude)
    recipe = _recipe(files, takes, versions, seed, voices, mosaic)
    made = {"takes": takes, "versions": versions, "seed": seed, "mosaic": mosaic}
    there = _record_in(folder)
    if there.get("recipe") == recipe:
        return read_qvim_dev(folder)
    if there.get("recipe"):
        problems = _differences(there.get("settings", {}), made)
        raise DatasetError(folder, problems, "Choose another folder, or delete this one.")
    with built_beside(folder, lambda f: _record_in(f).get("recipe") == recipe, is_free) as workshop:
        settings = takes, versions, seed, str(workshop), mosaic
        jobs = [(str(path), name, *settings) for path, name in files.items()]
        with _pool(workers, _read_voices(voices)) as run:
            bar = tqdm(run(_imitate_one, jobs), total=len(jobs), desc="imitating", unit="sound")
            rows = list(bar)
        record = {"recipe": recipe, "settings": made}
        _write(workshop, list(files), rows, record, [str(error) for error in unlisted])
    return read_qvim_dev(folder)


def _check(
    takes: int, versions: int, seed: int, mosaic: float | None, workers: int, voices: object
) -> None:
    least = {"takes": (takes, 1), "versions": (versions, 1)}
    least |= {"seed": (seed, 0), "workers": (workers, 1)}
    problems = [
        f"{name}: found {value!r}, expected a whole number of {lowest} or more"
        for name, (value, lowest) in least.items()
        if not isinstance(value, int) or value < lowest
    ]
    if mosaic is not None and not 0 <= mosaic <= 1:
        problems.append(f"mosaic: found {mosaic!r}, expected a share from 0 to 1")
    elif mosaic is not None and voices is None:
        problems.append(f"mosaic: found {mosaic} without voices, expected a folder of them")
    if problems:
        raise ValueError("; ".join(problems))


def _require_outside(folder: Path, sources: list[str | os.PathLike]) -> None:
    for source in sources:
        if Path(os.path.abspath(source)) in (folder, *folder.parents):
            problem = f"lies in {os.fspath(source)}, and would be taken for sounds of it"
            raise DatasetError(folder, [problem], "Choose a folder outside.")


def _record_in(folder: Path) -> dict:
    try:
        record = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _differences(there: dict, asked: dict) -> list[str]:
    """What the imitations that are there were made with, other than those asked for."""
    settings = [
        f"holds imitations made otherwise: with {name} {there[name]}, asked for are {value}"
        for name, value in asked.items()
        if there.get(name, value) != value
    ]
    return settings or ["holds imitations made otherwise: of other sounds, or by another version"]


def _recipe(files: dict[Path, str], takes, versions, seed, voices, mosaic) -> str:
    """Changes with whatever the data set is made from."""
    digest = hashlib.sha256(f"{takes} {versions} {seed} {mosaic}".encode())
    spoken = [Path(path) for path in audio_files(voices, [])] if voices else []
    for path in [*files, *spoken]:
        status = path.stat()
        digest.update(
            f"{path.name} {status.st_size} {status.st_mtime_ns} {files.get(path)}\n".encode()
        )
    made_by = [*sorted(Path(synth.__file__).parent.glob("*.py")), Path(versions_module.__file__)]
    for source in made_by:
        digest.update(source.read_bytes())
    return digest.hexdigest()


class _pool:
    """``map`` of this process, or of several; each is given the voices once."""

    def __init__(self, workers: int, voices: synth.VoiceGrains | None):
        self.workers, self.voices = workers, voices

    def __enter__(self):
        if self.workers <= 1:
            _take_voices(self.voices)
            return map
        self.pool = ProcessPoolExecutor(
            self.workers,
            multiprocessing.get_context("spawn"),
            initializer=_take_voices,
            initargs=(self.voices,),
        )
        return self.pool.map

    def __exit__(self, *error: object) -> None:
        if self.workers > 1:
            self.pool.shutdown(cancel_futures=True)


_VOICES = None


def _take_voices(voices: synth.VoiceGrains | None) -> None:
    global _VOICES
    _VOICES = voices


def _read_voices(folder: str | os.PathLike | None) -> synth.VoiceGrains | None:
    if folder is None:
        return None
    if not Path(folder).is_dir():
        raise DatasetError(folder, ["no such folder"], "Name a folder of recorded voices.")
    try:
        return synth.VoiceGrains.from_folder(folder)
    except AudioError:
        raise
    except ValueError:
        problem = "no recording of 0.3 s or longer in it, to take voices from"
        raise DatasetError(folder, [problem], "Expected a folder for each speaker.") from None


def _imitate_one(job: tuple) -> list[tuple[str, list[str]]] | str:
    """Write a sound, its versions and imitations; returns all names, or why there are none."""
    path, name, takes, versions, seed, workshop, mosaic = job
    try:
        sound = load_audio(path, SAMPLE_RATE, None)
    except AudioError as error:
        return str(error)
    if not np.abs(sound).max() > 1e-5:
        return f"{path}: silent"
    sound = prepare(sound, SAMPLE_RATE)[: round(LONGEST_S * SAMPLE_RATE)]
    if len(sound) < SHORTEST_S * SAMPLE_RATE:
        seconds = len(sound) / SAMPLE_RATE
        return f"{path}: {seconds:.3f} s of sound, expected {SHORTEST_S} s or more"
    rng = np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])
    rows = []
    for version in range(versions):
        heard = changed(sound, rng) if version else sound
        item = f"{name}~{version}" if version else name
        queries = []
        for take in range(takes):
            speaker = 1000 + int(rng.integers(100_000)) + 1_000_000 * seed
            grains = _VOICES if rng.random() < mosaic else None
            voice = synth.imitate(heard, SAMPLE_RATE, speaker, grains=grains)
            queries.append(f"{item}_{take + 1}.flac")
            voice = prepare(voice, SAMPLE_RATE)
            write_sound(Path(workshop, "Queries", queries[-1]), voice, SAMPLE_RATE)
        write_sound(Path(workshop, "Items", f"{item}.flac"), heard, SAMPLE_RATE)
        rows.append((f"{item}.flac", queries))
    return rows


def _write(folder: Path, paths: list[Path], rows: list, record: dict, unlisted: list[str]) -> None:
    left_out = [*unlisted, *(row for row in rows if isinstance(row, str))]
    done = [(path, row) for path, row in zip(paths, rows, strict=True) if not isinstance(row, str)]
    made = {item: str(path) for path, row in done for item, _ in row}
    if not done:
        raise DatasetError(paths[0].parent, left_out[:20], "None of its sounds can be imitated.")
    with (folder / QVIM_DEV_TABLE).open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Imitated by a virtual voice"])
        writer.writerow(QVIM_DEV_COLUMNS)
        for name, spoken in (pair for _, row in done for pair in row):
            sound_class, item = name.split("/", 1)
            queries = [query.split("/", 1)[1] for query in spoken]
            for first in range(0, len(queries), 3):
                three = queries[first : first + 3]
                writer.writerow(["", sound_class, item, *three, *[""] * (3 - len(three))])
    record = {**record, "items": made, "left_out": left_out}
    (folder / "sources.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
