"""Data sets by name: ``fetch_dataset("vimsketch")``, or ``qvim data fetch vimsketch``.

What there is stands in ``catalogue``; how a file is downloaded in ``downloads``, unpacked in
``archives``. Where Zenodo's list of a record cannot be had, the names in the catalogue serve.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from qvim_kit.downloads import DownloadError, fetch, manifests
from qvim_kit.downloads.archives import SUFFIXES, ArchiveError, unpack
from qvim_kit.downloads.catalogue import SOURCES, Archive, Source
from qvim_kit.downloads.locks import locked
from qvim_kit.downloads.safety import staging
from qvim_kit.downloads.zenodo import Remote, address, record_files
from qvim_kit.paths import data_folder
from qvim_kit.wording import counted


def fetch_dataset(
    name: str,
    folder: str | Path | None = None,
    *,
    verify: bool = False,
    keep_archives: bool = False,
) -> Path:
    """The folder of a data set, which is downloaded, unpacked and checked if it is not complete.

    A complete data set, by its manifest, is returned without any network. Otherwise an archive
    that lies in the folder is used, else the mirrors are asked; a download that breaks off goes on
    in the next run. The data set appears in its folder when it is complete, and a damaged one is
    mended. Licence and size are printed before the download. Archives that were downloaded are
    deleted when unpacked, those put there by hand are not.

    Args:
        name: one of ``SOURCES``.
        folder: where (default: ``name`` in the data folder).
        verify: also compare the hash of every file.
        keep_archives: keep what was downloaded, in the folder, to mend from.

    Raises:
        ValueError: for an unknown name; as `ArchiveError` for an archive that is refused, damaged,
            of something else, or a 7z without py7zr.
        DownloadError: if an archive cannot be had, with the files to put into the folder by hand.

    A number of files other than the published one is a warning.

    >>> fetch_dataset("qvim-dev")  # doctest: +SKIP
    PosixPath('/home/me/qvim-kit/data/qvim-dev')
    """
    if name not in SOURCES:
        raise ValueError(f"there is no data set {name!r}; expected one of {', '.join(SOURCES)}")
    source = SOURCES[name]
    folder = (Path(folder).expanduser() if folder else data_folder() / name).resolve()
    if not manifests.check_folder(folder, verify):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        problems = manifests.check_folder(folder, verify)
        if problems and not _adopt(source, folder):
            if manifests.read_manifest(folder):
                print(f"{folder}: {counted(len(problems), 'file')} damaged, such as: {problems[0]}")
            _renew(source, folder, verify, keep_archives)
    return folder


def _is_archive(name: str) -> bool:
    return name.lower().endswith(tuple(SUFFIXES))


def _adopt(source: Source, folder: Path) -> bool:
    """Whether the folder holds the whole data set, unpacked by hand; then give it a manifest.

    Says on stderr what keeps it from being the whole.
    """
    tops = [folder / source.inside / marker for marker in source.markers]
    if (folder / manifests.MANIFEST).exists() or not source.counts:
        return False
    if not all(top.exists() for top in tops):
        return False
    # Only what is surely the data set's: what a manifest names may be replaced or removed.
    paths = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
    names = sorted(path.relative_to(folder).as_posix() for path in paths)
    if wrong := _miscounts(source, names):
        todo = "so it is fetched: what is missing is added, what differs is replaced"
        print(f"{folder}: found {' and '.join(wrong)}; {todo}", file=sys.stderr)
        return False
    manifests.write_manifest(folder, manifests.build_manifest(folder, names))
    return True


def _miscounts(source: Source, names: Sequence[str]) -> list[str]:
    found = [(what, manifests.count(names, pattern), n) for what, pattern, n in source.counts]
    return [f"{have} {what}, expected {n}" for what, have, n in found if have != n]


def _renew(source: Source, folder: Path, verify: bool, keep_archives: bool) -> None:
    """Get the archives, unpack them beside the folder and bring the data set into it."""
    download = folder.with_name(f".{folder.name}-download")
    paths = _obtain(source, folder, download)
    with staging(folder.parent) as stage:
        top = _unpack(source, paths, stage, download)
        files = manifests.build_manifest(top)
        if wrong := _miscounts(source, list(files)):
            warnings.warn(f"{folder} has {'; '.join(wrong)}: another revision?", stacklevel=3)
        manifests.install(top, folder, files, verify)
    if keep_archives:
        for path in paths:
            if path.parent == download and _is_archive(path.name):
                path.replace(folder / path.name)
    shutil.rmtree(download, ignore_errors=True)


def _unpack(source: Source, paths: list[Path], stage: Path, download: Path) -> Path:
    """Unpack all into ``stage``; the folder that is to become the data set's, whatever it was in.

    Archives differ in whether, and under which name, they hold a folder round the data set.
    """
    everything = stage / "unpacked"
    everything.mkdir()
    for path in paths:
        if _is_archive(path.name):
            try:
                unpack(path, everything)
            except ArchiveError as error:
                full = getattr(error.__cause__, "errno", None)  # the disk's fault, not the file's
                if path.parent == download and not full:
                    path.unlink()  # or the next run would take it again
                raise
        else:
            shutil.copyfile(path, everything / path.name)
    folders = [everything, *sorted(everything.glob("*/")), *sorted(everything.glob("*/*/"))]
    for top in folders:
        if all((top / marker).exists() for marker in source.markers):
            shutil.rmtree(top / "__MACOSX", ignore_errors=True)
            final = stage / "final" / source.inside
            final.parent.mkdir(parents=True, exist_ok=True)
            top.rename(final)
            return stage / "final"
    found = ", ".join(sorted(path.name for path in everything.iterdir())[:10])
    raise ArchiveError(
        f"{', '.join(map(str, paths))}: not {source.title}; expected {', '.join(source.markers)} "
        f"in it, found {found}. If you put it there, delete it and run again"
    )


def _obtain(source: Source, folder: Path, download: Path) -> list[Path]:
    """The paths of all archives: those put into the folder by hand, the rest downloaded."""
    paths = {archive: _lying_in((folder, download), archive) for archive in source.archives}
    for archive in source.archives:
        if archive.names[0].endswith(".7z"):
            from qvim_kit.downloads.sevenzip import require_py7zr

            require_py7zr(archive.names[0])  # now, not after hours of download
    absent = [archive for archive, path in paths.items() if path is None]
    if absent:
        remotes, reason = _ask_zenodo(source, absent)
        size = sum(remote.size or 0 for remote in remotes.values())
        shown = f"{size / 1e9:.1f} GB" if size else source.size
        print(f"{source.title}\nlicence: {source.licence}; {shown}; {source.page}", file=sys.stderr)
        for archive in absent:
            try:
                paths[archive] = _download(archive, remotes.get(archive), reason, download)
            except DownloadError as error:
                raise _put_by_hand(source, absent, folder, download, error) from error
    return [path for path in paths.values() if path]


def _lying_in(folders: Sequence[Path], archive: Archive) -> Path | None:
    for folder in folders:
        known = manifests.read_manifest(folder) or {}
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            fits = _is_archive(path.name) == _is_archive(archive.names[0])
            if not fits or not path.is_file() or not archive.matches(path.name):
                continue
            # A table is also part of the data set, and may be what is damaged.
            if path.name not in known or not manifests.file_problem(path, *known[path.name]):
                return path
    return None


def _download(archive: Archive, remote: Remote | None, reason: str, folder: Path) -> Path:
    """Fetch from Zenodo, checked by its MD5, else from the mirrors, which may pack it otherwise."""
    reasons = [reason] if reason else []
    if remote:
        try:
            return fetch(remote.urls, folder, remote.name, md5=remote.md5)
        except DownloadError as error:
            reasons.append(f"{remote.urls[0]}: {error.reason}")
    for url in archive.mirrors:
        try:
            return fetch(url, folder, archive.names[0])
        except DownloadError as error:
            reasons.append(f"{url}: {error.reason}")
    raise DownloadError("; ".join(reasons))


def _put_by_hand(
    source: Source, archives: list[Archive], folder: Path, download: Path, error: DownloadError
) -> DownloadError:
    absent = [archive for archive in archives if not _lying_in((folder, download), archive)]
    files = " and ".join(archive.names[0] for archive in absent)
    kept = f". What has been downloaded so far is kept in {download}" if download.exists() else ""
    return DownloadError(
        f"{source.title} could not be downloaded: {error}. Get {files} another way, from "
        f"{source.page} for instance, put what you got into {folder} and run again: it is then "
        f"used{kept}"
    )


def _ask_zenodo(source: Source, archives: list[Archive]) -> tuple[dict[Archive, Remote], str]:
    """Where Zenodo has the archives; why it could not be asked, or has none of that name."""
    try:
        listed = record_files(source.record)
    except DownloadError as error:
        guesses = {a: Remote(a.names[0], (address(source.record, a.names[0]),)) for a in archives}
        return guesses, f"the list of {source.page} could not be had: {error.reason}"
    remotes = {}
    packed = [remote for remote in listed if _is_archive(remote.name)]
    for archive in archives:
        fitting = [remote for remote in listed if archive.matches(remote.name)]
        # A record of one archive needs no guessing.
        fitting = fitting or (packed if len(packed) == len(source.archives) == 1 else [])
        if fitting:
            remotes[archive] = fitting[0]
    names = ", ".join(remote.name for remote in listed) or "nothing"
    reason = "" if len(remotes) == len(archives) else f"{source.page} now lists {names}"
    return remotes, reason
