"""What lies on the disks: room, data sets, weights, and caches with their sizes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from qvim_kit.doctor.findings import IMPORT_FAILURES, Finding, first_line
from qvim_kit.paths import cache_folder, data_folder

ROOM = 1e9  # bytes; the mini set takes 50 MB, all notebooks leave 150 MB in the cache
CACHES = ("embeddings", "graphs", "indexes", "waveforms")
COUNTED = 50_000  # files of a cache, one or two seconds


def check_folder(kind: str, folder: Path) -> Finding:
    """A folder of the kit's that can be written, on a disk with room."""
    variable = f"QVIM_{kind.upper()}"
    existing = next(one for one in (folder, *folder.parents) if os.path.exists(one))
    try:  # permissions do not tell all: nothing can be made in /proc, whoever asks
        with tempfile.TemporaryDirectory(prefix=".qvim-", dir=existing):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        what = (
            f"{kind} folder {folder} cannot be used: nothing can be made in {existing} ({reason})"
        )
        remedy = f"set {variable} to a folder that you may write to, on a disk with room"
        return Finding(False, what, remedy)
    free = shutil.disk_usage(existing).free
    what = f"{kind} folder {folder} ({free / 1e9:.{0 if free > 10e9 else 1}f} GB free)"
    if free > ROOM:
        return Finding(True, what)
    remedy = f"make room for {ROOM / 1e9:.0f} GB, or set {variable} to a folder on a larger disk"
    return Finding(False, what, remedy, fatal=False)


def found_data() -> list[Finding]:
    """The data sets in the data folder, and what bears the name of one without being one."""
    try:
        from qvim_kit.datasets import DATASETS, DatasetError, find_layout
    except IMPORT_FAILURES as error:
        return [Finding(False, f"data sets: cannot be looked for ({first_line(error)})")]
    found, begun = [], []
    # What begins with a dot is being made, or was left by a run that was killed.
    for path in sorted(data_folder().glob("[!.]*")):
        try:
            find_layout(path)
            found.append(path.name)
        except (DatasetError, OSError):
            begun += [path.name] if path.name in DATASETS else []
    findings = [
        Finding(
            False,
            f"data sets: {name} is begun or empty",
            f"qvim data {'mini' if name == 'qvim-mini' else f'fetch {name}'}",
            fatal=False,
        )
        for name in begun
    ]
    if found:
        return [Finding(True, f"data sets: {', '.join(found)}"), *findings]
    remedy = "qvim data mini (50 MB, built in seconds), or qvim data fetch NAME"
    return findings or [Finding(False, "data sets: none yet", remedy, fatal=False)]


def found_weights() -> Finding:
    """The checkpoints in the cache folder; that of the kit itself is always there."""
    found = sorted(path.name for path in cache_folder().glob("*.pt*"))
    found = [name for name in found if name.endswith((".pt", ".pth"))]
    if found:
        return Finding(True, f"checkpoints: {', '.join(found)}")
    remedy = f"they download on first use; offline, put mn04_as_mAP_432.pt into {cache_folder()}"
    return Finding(False, "checkpoints: only the kit's own yet", remedy, fatal=False)


def check_caches() -> list[Finding]:
    """How large the caches are, and how to empty them."""
    sizes = {name: size_of(cache_folder() / name) for name in CACHES}
    shown = ", ".join(f"{name} {size}" for name, size in sizes.items() if size)
    if not shown:
        return []
    remedy = (
        f"to make room, delete any of these folders in {cache_folder()} while nothing of the kit "
        "runs: what is needed is made again"
    )
    return [Finding(True, f"caches: {shown}", remedy)]


def size_of(folder: Path) -> str:
    """What the files below a folder take up on the disk, in words; "" for none."""
    total = count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.stat(os.path.join(parent, name))
            except OSError:  # gone since
                continue
            # Many small files take more than they hold; Windows does not tell.
            total += getattr(found, "st_blocks", 0) * 512 or found.st_size
            count += 1
        if count >= COUNTED:
            return f"more than {total / 1e6:,.0f} MB"
    return f"{max(total / 1e6, 1):,.0f} MB" if count else ""
