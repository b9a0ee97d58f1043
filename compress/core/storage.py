"""The one door for writing results: a temporary name, fsync, rename. A reader never sees half a file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`, on failure removed.

    The temporary name keeps the suffix, since some writers choose the format by it. The umask says who may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_in(path.parent, path.suffix)
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)  # safetensors puts a file of its own there, for its user alone
        temporary.replace(path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_folder(parent: Path) -> Path:
    """Make a folder in `parent`, which may be missing, to fill and rename; the umask says who may read it."""
    folder = _temporary_in(parent)
    folder.mkdir(parents=True)
    return folder


def _temporary_in(parent: Path, suffix: str = "") -> Path:
    return parent / f".tmp-{secrets.token_hex(8)}{suffix}"


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
