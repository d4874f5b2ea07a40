"""Backups as files: what is there is either whole or plainly not a backup.

One folder holds one backup, and `manifest.json` is written into it last, by rename. So a folder
with a manifest is a whole backup, and a folder without is work in progress or what a dead run
left. The same holds for one file: it is written under a temporary name, forced to the disk, and
renamed. Deleting goes the other way round: the folder loses its name first and its content then.

Every attempt writes files of its own (`unique`): an attempt that everybody took for dead may wake
up and write on, and harms nobody. Only names that came back as results are looked at again.
"""

import gzip
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

CHUNK_BYTES = 1 << 20
MANIFEST = "manifest.json"
_PARTIAL = ".partial-"
_DELETING = ".deleting-"
_STAMP = "%Y%m%dT%H%M%S%fZ"


def root() -> Path:
    """Where backups lie: `BACKUP_ROOT`, or `/backups`."""
    return Path(os.environ.get("BACKUP_ROOT", "/backups"))


def folder(backup: str) -> Path:
    return root() / backup


def backup_id(now: datetime, guid: str) -> str:
    """Sorts by time, and tells its own age to whoever finds it."""
    at = now.astimezone(UTC)
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond // 1000:03}Z-{guid[:8]}"


def age(backup: str) -> timedelta | None:
    """How long ago that backup began; None if this is no id of a backup."""
    with suppress(ValueError):
        began = datetime.strptime(backup.split("-", 1)[0], _STAMP).replace(tzinfo=UTC)
        return datetime.now(UTC) - began
    return None


def unique(backup: str, database: str, suffix: str) -> Path:
    """A path that no other attempt uses. Any name of a database makes a name of a file."""
    place = folder(backup)
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{quote(database, safe='')}.{secrets.token_hex(4)}{suffix}"


@contextmanager
def written_whole(path: Path) -> Generator[Path]:
    """Give a temporary path to write to; it becomes `path` when all of it is on the disk."""
    partial = path.with_name(f"{_PARTIAL}{secrets.token_hex(4)}-{path.name}")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def compress(source: Path, target: Path, keep_going: Callable[[], None]) -> str:
    """Write `source` as gzip; return the SHA-256 of what was written. One pass, one chunk held.

    `keep_going` is called between chunks and raises to stop.
    """
    with (
        written_whole(target) as partial,
        source.open("rb") as data,
        partial.open("wb") as sink,
    ):
        digesting = _Digesting(sink)
        packed = gzip.GzipFile("", "wb", 6, digesting, mtime=0)
        while chunk := data.read(CHUNK_BYTES):
            keep_going()
            packed.write(chunk)
        packed.close()
    return digesting.digest.hexdigest()


class _Digesting:
    """A file that takes a digest of what goes through."""

    def __init__(self, sink: BinaryIO) -> None:
        self.digest = hashlib.sha256()
        self._sink = sink

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._sink.write(data)

    def flush(self) -> None:
        self._sink.flush()


def sha256(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def finish(backup: str, manifest: dict[str, Any]) -> None:
    """Make the folder a backup: check what the manifest names, drop all else, write it last."""
    place = folder(backup)
    named = {entry["file"]: entry["bytes"] for entry in manifest["databases"]}
    for file, size in named.items():
        found = (place / file).stat().st_size  # a missing file raises, and names itself
        if found != size:
            raise OSError(f"{place / file} has {found} bytes, and was written with {size}")
    _drop_all_but(place, {*named, MANIFEST})
    with written_whole(place / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def read_manifest(backup: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder(backup) / MANIFEST).read_text())
    return manifest


def whole_backups() -> list[str]:
    """Backups that are whole, oldest first."""
    return sorted(
        path.name
        for path in root().iterdir()
        if age(path.name) is not None and (path / MANIFEST).exists()
    )


def delete(backup: str) -> None:
    """Remove a backup; killed half-way it leaves nothing that looks like one."""
    gone = root() / f"{_DELETING}{backup}"
    if gone.exists():  # a second attempt
        shutil.rmtree(gone)
    with suppress(FileNotFoundError):
        folder(backup).rename(gone)
        _sync(root())
        shutil.rmtree(gone)


def sweep(abandoned_after: timedelta) -> list[str]:
    """Remove what dead runs left: folders half deleted, old ones without a manifest, stray files.

    Returns the names of the folders removed.
    """
    root().mkdir(parents=True, exist_ok=True)
    swept: list[str] = []
    for path in sorted(root().iterdir()):
        since = age(path.name)
        if path.name.startswith(_DELETING):
            shutil.rmtree(path)
            swept.append(path.name)
        elif since is not None and (path / MANIFEST).exists():
            named = {entry["file"] for entry in read_manifest(path.name)["databases"]}
            _drop_all_but(path, {*named, MANIFEST})
        elif since is not None and since >= abandoned_after:
            delete(path.name)
            swept.append(path.name)
    return swept


def _drop_all_but(place: Path, named: set[str]) -> None:
    for path in place.iterdir():
        if path.name not in named:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
