"""The folder of a run: where things lie, who may write, and what a full disk or a read-only folder means."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compress.core.names import RUN_NAME
from compress.core.storage import sync
from compress.errors import ImgcError, StageError, UsageError
from compress.recipe.plan import PlannedStage

LATEST = "latest"
RECIPE_NAME = "recipe.yaml"
RESOLVED_NAME = "recipe.resolved.yaml"
ENVIRONMENT_NAME = "environment.json"
PARTIAL_NAME = ".partial"
ASIDE_NAME = "aside"  # sealed stages that the recipe does not have
_WRITER_NAME = ".writer"  # locked while a process writes the run
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR)


def run_path(runs_dir: Path, name: str) -> Path:
    """Return the folder of a run.

    Raises:
        UsageError: the name cannot be a folder's name.
    """
    if not re.fullmatch(RUN_NAME, name) or name == LATEST:
        raise UsageError(
            f"'{name}' cannot be the name of a run",
            hint=f"letters, digits, '_', '-' and '.', not '{LATEST}'",
        )
    return runs_dir.absolute() / name


@contextmanager
def writing(run_dir: Path) -> Iterator[None]:
    """Hold the run for this process alone; the kernel lets go when the process ends, however it ends.

    Raises:
        UsageError: another process writes this run, or the folder cannot be written.
        StageError: the disk is full.
    """
    with disk_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(run_dir / _WRITER_NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle, run_dir)
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(handle)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that say what to do.

    Raises:
        StageError: the disk is full, or a read or write failed.
        UsageError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(error, path) from error


def disk_error(error: OSError, path: Path) -> ImgcError:
    """Return the expected failure for an error of the operating system at `path`."""
    where = error.filename or path
    if error.errno in _FULL:
        return StageError(
            f"the disk is full: {where} could not be written",
            hint="free some space, then `imgc run --resume` goes on after the last sealed stage",
        )
    if error.errno in _NOT_WRITABLE:
        return UsageError(
            f"no access to {where} ({error.strerror})",
            hint=f"make {path} writable, or run from a folder that is",
        )
    return StageError(f"{where}: {error.strerror or error}")


def point_latest(run_dir: Path) -> None:
    """Point `runs/latest` at this run, in one step."""
    link = run_dir.parent / LATEST
    temporary = run_dir.parent / f".{LATEST}-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(run_dir.name, target_is_directory=True)
    temporary.replace(link)


def partial_dir(run_dir: Path, stage: PlannedStage, key: str) -> Path:
    """Return the folder a stage works in, made empty unless the same work was begun in it before."""
    wanted = run_dir / PARTIAL_NAME / f"{stage.folder_name}-{key[:16]}"
    for other in wanted.parent.glob(f"{stage.index:02d}-*"):
        if other != wanted:
            shutil.rmtree(other)
    wanted.mkdir(parents=True, exist_ok=True)
    return wanted


def put_in_place(made: Path, target: Path) -> None:
    """Move a finished folder to its final name; what stood there before is removed first."""
    if target.exists():
        old = made.with_name(f"{made.name}.old")
        target.rename(old)
        shutil.rmtree(old)
    made.rename(target)
    sync(target.parent)


def put_aside(folder: Path, name: str) -> Path:
    """Move a stage's folder to `aside/` in its run, under a name there, and return where it is now."""
    aside = folder.parent / ASIDE_NAME / name
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(exist_ok=True)
    return folder.rename(aside)


def _lock(handle: int, run_dir: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        writer = os.pread(handle, 20, 0).decode() or "unknown"
        raise UsageError(
            f"{run_dir} is being written by another process (id {writer})",
            hint="wait for it to end, or give this run another name with --name",
        ) from None
