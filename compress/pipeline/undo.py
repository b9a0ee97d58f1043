"""What a failed verb leaves behind: the run as it was, where nothing that it had made is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.core.storage import write_bytes
from compress.core.yaml_nodes import parse
from compress.errors import DataError, ImgcError, RecipeError, StageError, UsageError
from compress.pipeline.lock import LOCK_NAME, RunLock, read_lock
from compress.pipeline.run_dir import LATEST, RECIPE_NAME, RESOLVED_NAME, point_latest
from compress.pipeline.seal import read_seal

_REFUSED = (UsageError, RecipeError, DataError)  # what was asked for cannot be: there is nothing to resume
_FILES = (RECIPE_NAME, RESOLVED_NAME, LOCK_NAME)


@contextmanager
def undone_on_failure(run_dir: Path) -> Iterator[None]:
    """Undo what a failed attempt to begin a run anew did to its recipe, its lock and `runs/latest`.

    The stage folders of before are there still; without the lock that names them they would count as left over. What
    was interrupted is not undone: it is resumed. Neither is a failed stage behind those that the lock has.
    """
    latest = run_dir.parent / LATEST
    pointed = latest.resolve() if latest.is_symlink() else None
    before = {name: (run_dir / name).read_bytes() for name in _FILES if (run_dir / name).is_file()}
    lock = _lock_of(run_dir)
    try:
        yield
    except ImgcError as error:
        begun_anew = _lock_of(run_dir) != lock or _planned(run_dir) <= len(lock.stages)
        if lock.stages and begun_anew and _stands(run_dir, lock):
            for name, content in before.items():
                write_bytes(run_dir / name, content)
        if not lock.stages and isinstance(error, _REFUSED) and pointed and pointed.is_dir():
            point_latest(pointed)
        raise


def _lock_of(run_dir: Path) -> RunLock:
    """Return the lock, an empty one where there is none that can be read."""
    try:
        return read_lock(run_dir) or RunLock(name=run_dir.name)
    except StageError:
        return RunLock(name=run_dir.name)


def _planned(run_dir: Path) -> int:
    """Return how many stages the attempt was for."""
    return len(parse((run_dir / RESOLVED_NAME).read_text(encoding="utf-8"), RESOLVED_NAME).mapping["stages"].items)


def _stands(run_dir: Path, lock: RunLock) -> bool:
    """Return whether every stage of a lock still lies where it was sealed."""
    return all(read_seal(run_dir / stage.artifact.path.parent) == stage for stage in lock.stages)
