"""A data set's ``.manifest.json``: which files it has, how long they are, what they hash to.

The publishers pack their archives anew now and then, which changes the archives' hashes and not
the sounds, so what is remembered is what was unpacked.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Iterable
from pathlib import Path

from qvim_kit.downloads.safety import move_into

MANIFEST = ".manifest.json"
Files = dict[str, tuple[int, str]]  # name below the folder → bytes, SHA-256


def build_manifest(folder: Path, names: Iterable[str] | None = None) -> Files:
    """Name, bytes and SHA-256 of every file below ``folder``, or of those named."""
    import pooch
    from tqdm.auto import tqdm

    if names is None:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        names = sorted({path.relative_to(folder).as_posix() for path in paths} - {MANIFEST})
    return {
        name: ((folder / name).stat().st_size, pooch.file_hash(str(folder / name)))
        for name in tqdm(list(names), desc="hashing", unit="file", disable=None)
    }


def write_manifest(folder: Path, files: Files) -> None:
    """Write ``.manifest.json``, beside its place first."""
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps({"files": files}, indent=0), encoding="utf-8")
    part.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Files | None:
    """What the folder should hold; None if there is no manifest, or none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = content["files"].items()
        found = {str(name): (int(size), str(digits)) for name, (size, digits) in files}
        inside = not any(name.startswith("/") or ".." in name.split("/") for name in found)
        return found if found and inside else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def check_folder(folder: Path, verify: bool = False) -> list[str]:
    """What is wrong with a data set, file by file; empty if it is complete.

    Names and lengths are compared (12 000 files in a fraction of a second); with ``verify`` the
    hashes too, which reads every byte. Files that the manifest does not name are left alone.
    """
    files = read_manifest(folder)
    if files is None:
        return [f"there is no readable {MANIFEST}"]
    return [
        problem for name in files if (problem := file_problem(folder / name, *files[name], verify))
    ]


def file_problem(path: Path, size: int, sha256: str, verify: bool = False) -> str | None:
    """What is wrong with one file, or None; its hash is compared only with ``verify``."""
    import pooch

    if not path.is_file():
        return f"{path} is missing"
    if (found := path.stat().st_size) != size:
        return f"{path} has {found} bytes, expected {size}"
    if verify and pooch.file_hash(str(path)) != sha256:
        return f"{path} has another SHA-256 than when it was unpacked"
    return None


def count(files: Iterable[str], pattern: str) -> int:
    """How many of the names match, in any case; the hidden ones that macOS adds do not count.

    >>> count(["Items/Dog/a.WAV", "Items/Dog/._a.wav"], "Items/*/*.wav")
    1
    """
    return sum(
        fnmatch.fnmatchcase(name.lower(), pattern.lower())
        for name in files
        if not name.rsplit("/", 1)[-1].startswith(".")
    )


def install(stage: Path, folder: Path, files: Files, verify: bool = False) -> None:
    """Bring a complete data set from ``stage`` to ``folder``, on the same file system.

    A new folder appears in one move. In a folder that holds part of it, only what is missing or
    differs is put in place, what an older manifest names and this one does not is removed, and
    the manifest comes last; other files stay.
    """
    write_manifest(stage, files)
    taken = folder.is_dir() and any((folder / path.name).exists() for path in stage.iterdir())
    if not taken:
        move_into(stage, folder)
        return
    old = read_manifest(folder) or {}
    for name in files:
        if file_problem(folder / name, *files[name], verify):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(stage / name, folder / name)
    for name in old.keys() - files.keys():
        (folder / name).unlink(missing_ok=True)
    (stage / MANIFEST).replace(folder / MANIFEST)
