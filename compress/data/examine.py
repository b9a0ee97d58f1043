"""Opens every image once: its content hash, and whether it decodes. Remembered on disk between processes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.core.cache import cache_dir
from compress.core.cores import usable_cores
from compress.core.digest import sha256_bytes, sha256_file
from compress.core.regular_file import read_regular
from compress.core.stage import Reporter
from compress.core.storage import write_json
from compress.data.decode import MAX_BYTES, BadImageError, decode
from compress.data.near import HASH_DRAFT_PX, image_hash

_VERSION = 2  # raised when `decode` judges files differently, or more is remembered
_BLOCK = 256


@dataclass(frozen=True)
class Exam:
    """What one look at a file found.

    Attributes:
        size: of the file in bytes; with `mtime_ns` its identity.
        mtime_ns: when it was changed.
        sha256: of its content.
        reason: why it is bad, "" if it is good.
        look: what it looks like (`near.image_hash`).
    """

    size: int
    mtime_ns: int
    sha256: str
    reason: str
    look: str = ""


_seen: dict[Path, Exam] = {}


def workers() -> int:
    """Return how many threads may decode at once."""
    return min(8, usable_cores())


def examine(paths: Sequence[Path], root: Path, reporter: Reporter) -> list[Exam]:
    """Return one `Exam` per file, in order; only files that changed since the last look are opened.

    Args:
        paths: files to look at.
        root: data set they belong to; names the file of remembered results.
        reporter: shows a bar when there is anything to open.
    """
    memory = cache_dir() / "examined" / f"{sha256_bytes(os.fsencode(root.absolute()))[:32]}.json"
    remembered = _remembered(memory)
    todo = []
    for path in paths:
        known = _seen.get(path) or remembered.get(str(path))
        if known is None or not _is_current(path, known):
            todo.append(path)
        else:
            _seen[path] = known
    if todo:
        _look(todo, reporter)
        _remember(memory, paths, reporter)
    return [_seen[path] for path in paths]


def content_sha256(path: Path) -> str:
    """Return the file's content hash, from memory if the file was examined and has not changed since."""
    known = _seen.get(path)
    return known.sha256 if known is not None and _is_current(path, known) else sha256_file(path)


def _is_current(path: Path, known: Exam) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns)


def _look(paths: Sequence[Path], reporter: Reporter) -> None:
    with (
        reporter.progress(f"checking {len(paths)} images", len(paths)) as advance,
        ThreadPoolExecutor(workers()) as pool,
    ):
        for start in range(0, len(paths), _BLOCK):
            block = paths[start : start + _BLOCK]
            _seen.update(zip(block, pool.map(_exam, block), strict=True))
            advance(len(block))


def _exam(path: Path) -> Exam:
    try:
        status = path.stat()
        if status.st_size > MAX_BYTES:
            return Exam(status.st_size, status.st_mtime_ns, "", f"file larger than {MAX_BYTES} bytes")
        data = read_regular(path, MAX_BYTES)
    except OSError as error:
        return Exam(-1, 0, "", f"cannot be read: {error.strerror}")
    try:
        # a truncated JPEG is found at any scale, since all of its data is read
        look, reason = image_hash(decode(data, draft_px=HASH_DRAFT_PX)), ""
    except BadImageError as error:
        look, reason = "", error.reason
    return Exam(status.st_size, status.st_mtime_ns, sha256_bytes(data), reason, look)


def _remembered(memory: Path) -> dict[str, Exam]:
    """Return what earlier processes found; a missing or damaged memory is an empty one."""
    try:
        stored = json.loads(memory.read_text())
        if stored["version"] != _VERSION:
            return {}
        return {name: Exam(**exam) for name, exam in stored["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(memory: Path, paths: Sequence[Path], reporter: Reporter) -> None:
    try:
        write_json(memory, {"version": _VERSION, "files": {str(path): asdict(_seen[path]) for path in paths}})
    except OSError as error:
        reporter.warn(f"{memory}: cannot be written ({error.strerror}); the images will be checked again next time")
