"""Unpack downloaded archives without trusting them.

An archive is read to the end before a byte is written. If any member could land outside the
folder, become a link or clash with another member on some file system, the whole archive is
refused: half an archive looks like a data set, and is worse than none. The attacks are those in
Python's ``tarfile`` documentation and in D. Fifield, "A better zip bomb" (WOOT 2019).
"""

from __future__ import annotations

import errno
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from qvim_kit.downloads.fetching import space_problem
from qvim_kit.downloads.members import ArchiveError, Member, clash, name_problem
from qvim_kit.downloads.safety import move_into, staging
from qvim_kit.downloads.tarballs import check_end, open_tar
from qvim_kit.downloads.zipped import Zip
from qvim_kit.wording import counted

SUFFIXES = {".zip": "zip", ".tar": "tar", ".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz"}
SUFFIXES |= {".7z": "7z"}
MAGIC = {b"PK\3\4": "zip", b"PK\5\6": "zip", b"\x1f\x8b": "gz", b"\xfd7zXZ\0": "xz"}
MAGIC |= {b"7z\xbc\xaf\x27\x1c": "7z"}
SMALL, DENSE = 1_000_000_000, 200  # so many bytes may come of any archive; or so many times its own


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    max_members: int = 200_000,
    max_bytes: int = 50_000_000_000,
    keep_out: Path | None = None,
    portable: bool = os.name == "nt",
) -> Path:
    """Unpack a zip, tar, tar.gz, tgz, tar.xz or 7z into ``folder``: all of it, or nothing.

    The members go to a temporary folder first and are then moved. Into a folder that holds
    something they are moved only if none of the top-level names is taken; if every member is
    already there with its size, nothing is done, so that a notebook can be run twice.
    7z needs the package py7zr.
    Taught in ``notebooks/05_submission.ipynb``.

    Args:
        archive: the file; its content decides the kind, and the suffix must agree.
        folder: where the members go; made if missing.
        max_members: most entries accepted.
        max_bytes: most unpacked bytes accepted, as declared and again as written; never more than
            1 GB or 200 times what the archive has, whichever is more.
        keep_out: a folder that no member may enter.
        portable: refuse every name that Windows cannot write. Elsewhere only the dangerous ones
            are refused if left out, as published data sets have names like ``what?.wav``.

    Returns: the folder, resolved.

    Raises:
        ArchiveError: with the archive, the offending members (first ten) and the rule broken.

    >>> unpack("data/qvim-dev.zip", "data/qvim-dev")  # doctest: +SKIP
    """
    archive, folder = Path(archive), Path(folder).expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise ArchiveError(f"{archive}: cannot unpack into {folder}, which is a file")
    try:
        # No sound or checkpoint is so repetitive; what is, was made to fill a disk.
        max_bytes = min(max_bytes, max(SMALL, DENSE * archive.stat().st_size))
        with _open(archive) as container:
            members = _checked(container, archive, max_members, max_bytes, portable)
            if not _already_there(archive, members, folder, keep_out):
                _check_space(members, folder)
                with staging(folder if folder.is_dir() else folder.parent) as stage:
                    _write(container, members, stage / "all", max_bytes)
                    move_into(stage / "all", folder)
    except ArchiveError:
        raise
    except Exception as error:  # the parsers raise anything on a damaged file
        raise ArchiveError(
            f"{archive}: cannot be unpacked ({type(error).__name__}: {error}); nothing was left "
            f"in {folder}. If the file is damaged, delete it and download it again"
        ) from error
    return folder


def _open(archive: Path) -> Any:
    with archive.open("rb") as file:
        head = file.read(512)
    found = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), None)
    if not found:
        with suppress(tarfile.HeaderError):
            found = "tar" if tarfile.TarInfo.frombuf(head, "utf-8", "replace") else None
    suffix = next((s for s in SUFFIXES if archive.name.lower().endswith(s)), archive.suffix)
    if not found or SUFFIXES.get(suffix) != found:
        raise ArchiveError(
            f"{archive}: the content is {found or 'no archive'}, the suffix {suffix!r}; "
            f"expected one of {', '.join(SUFFIXES)} with that content. If the file is a web page "
            f"saved under the archive's name, delete it and download it again"
        )
    if found == "zip":
        return Zip(archive)
    if found == "7z":
        from qvim_kit.downloads.sevenzip import SevenZip

        return SevenZip(archive)
    return open_tar(archive, found)


def _members(container: Any) -> Iterator[Member]:
    if isinstance(container, zipfile.ZipFile):
        for info in container.infolist():
            kind = (info.external_attr >> 16) & 0o170000
            problem = "link or device" if kind not in (0, 0o100000, 0o040000) else None
            problem = "encrypted" if info.flag_bits & 0x2041 else problem
            name = info.orig_filename  # zipfile cuts filename at a NUL
            yield Member(name, info.file_size, name.endswith("/"), problem, info)
    elif not isinstance(container, tarfile.TarFile):
        yield from container.members()
    else:
        for info in container:
            problem = None if info.isreg() or info.isdir() else "link or device"
            size = info.size if info.isreg() else 0
            yield Member(info.name, size, info.isdir(), problem, info)


def _checked(
    container: Any, archive: Path, max_members: int, max_bytes: int, portable: bool
) -> list[Member]:
    """All members of the archive, or an ArchiveError with everything wrong about them."""
    members, total, problems, seen = [], 0, [], {}
    for member in _members(container):
        members.append(member)
        total += abs(member.size)
        # Stops here, not at the end: listing a compressed bomb means decompressing it.
        if len(members) > max_members or total > max_bytes:
            raise ArchiveError(
                f"{archive}: more than {max_members} members or {max_bytes} bytes unpacked "
                f"(at {member.name!r}); nothing was unpacked. Unpack it by hand if you trust it"
            )
        problem = member.problem or name_problem(member, portable) or clash(member, seen)
        if problem:
            problems.append((member.name, problem))
    if isinstance(container, tarfile.TarFile):
        check_end(container, archive)
    _refuse(archive, problems)
    if not any(member.parts for member in members):
        raise ArchiveError(f"{archive}: holds no members; delete it and download it again")
    return members


def _already_there(
    archive: Path, members: list[Member], folder: Path, keep_out: Path | None
) -> bool:
    """Whether ``folder`` holds every member; refuse if it holds other files of those names."""

    def lower(path: Path) -> tuple[str, ...]:
        return tuple(part.casefold() for part in path.parts)

    paths = [folder.joinpath(*member.parts) for member in members]
    if keep_out:
        closed, reason = lower(keep_out.resolve()), f"nothing may be unpacked into {keep_out}"
        inside = [lower(path)[: len(closed)] == closed for path in paths]
        _refuse(archive, [(m.name, reason) for m, bad in zip(members, inside, strict=True) if bad])
    there = all(
        path.is_dir() if member.is_folder else path.is_file() and path.stat().st_size == member.size
        for member, path in zip(members, paths, strict=True)
    )
    if not there:
        tops = sorted({member.parts[0] for member in members if member.parts})
        reason = f"differs from what {folder} already holds; delete or move that first"
        _refuse(archive, [(top, reason) for top in tops if os.path.lexists(folder / top)])
    return there


def _check_space(members: list[Member], folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if path.is_dir())
    if problem := space_problem(there, sum(member.size for member in members)):
        raise OSError(errno.ENOSPC, problem)


def _refuse(archive: Path, problems: list[tuple[str, str]]) -> None:
    if problems:
        shown = "".join(f"\n  {name!r}: {reason}" for name, reason in problems[:10])
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ArchiveError(
            f"{archive}: refused for {counted(len(problems), 'member')}; nothing was unpacked."
            f"{shown}{more}"
        )


def _write(container: Any, members: list[Member], stage: Path, max_bytes: int) -> None:
    stage.mkdir()
    is_zip, left = isinstance(container, zipfile.ZipFile), max_bytes
    if not is_zip and not isinstance(container, tarfile.TarFile):
        return container.write(members, stage, max_bytes)
    for member in members:
        path = stage.joinpath(*member.parts)
        (path if member.is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        if member.is_folder:
            continue
        source = container.open(member.entry) if is_zip else container.extractfile(member.entry)
        with source, path.open("xb") as file:
            written = 0
            while chunk := source.read(1 << 20):
                written += len(chunk)
                left -= len(chunk)
                if left < 0 or written > member.size:
                    raise OSError(f"{member.name!r} unpacks to more bytes than it declares")
                file.write(chunk)
        if written != member.size:
            raise OSError(f"{member.name!r} holds {written} bytes, declares {member.size}")
