"""`run.lock.json`: what a run really is. The recipe is intent, the lock is fact."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.names import RunName, StageId, is_inside
from compress.core.regular_file import MAX_JSON_BYTES, read_regular
from compress.core.storage import write_json
from compress.errors import StageError

LOCK_NAME = "run.lock.json"


class LockedStage(BaseModel):
    """One sealed stage.

    Attributes:
        id: the stage's id in the recipe.
        kind: the stage's kind.
        index: place in the run, from 1.
        key: 64 hex digits; equal keys mean equal work.
        key_parts: what the key is the hash of; kept to say why a stage reran.
        inputs: role -> id of a stage of this run, or an absolute model file.
        artifact: the sealed file; its path is relative to the run folder.
        seconds: wall-clock time of the attempt that made it, here or where it was taken from.
        reused: whether it was taken from another run instead of being executed in this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: StageId
    kind: str
    index: int
    key: str
    key_parts: dict[str, Any]
    inputs: dict[str, str]
    artifact: Artifact
    seconds: float
    reused: bool

    @model_validator(mode="after")
    def _artifact_is_its_own(self) -> LockedStage:
        if self.artifact.stage_id != self.id:
            raise ValueError(f"the artifact of '{self.id}' is said to be of '{self.artifact.stage_id}'")
        if not is_inside(self.artifact.path.as_posix()):
            raise ValueError(f"the artifact's path '{self.artifact.path}' leaves the run's folder")
        return self


class RunLock(BaseModel):
    """All sealed stages of a run, in run order."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    name: RunName
    stages: tuple[LockedStage, ...] = ()

    def find(self, stage_id: str) -> LockedStage | None:
        """Return the stage with this id, or None."""
        return next((stage for stage in self.stages if stage.id == stage_id), None)

    def with_stage(self, stage: LockedStage) -> RunLock:
        """Return the lock with the stage in its place; if that changes anything, what came after it is dropped."""
        place = stage.index - 1
        if len(self.stages) > place and self.stages[place] == stage:
            return self
        return self.model_copy(update={"stages": (*self.stages[:place], stage)})

    def first(self, count: int) -> RunLock:
        """Return the lock with the first `count` stages only."""
        return self if len(self.stages) <= count else self.model_copy(update={"stages": self.stages[:count]})


def read_lock(run_dir: Path) -> RunLock | None:
    """Return the lock of a run, or None when nothing was sealed yet.

    Raises:
        StageError: the file is there but is not a lock, or names files outside the run's folder.
    """
    path = run_dir / LOCK_NAME
    try:
        lock = RunLock.model_validate_json(read_regular(path, MAX_JSON_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StageError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        raise StageError(
            f"{path}: not a run lock ({error.error_count()} faults, first: {error.errors()[0]['msg']})",
            hint="`imgc run --resume` rebuilds it from the sealed stages",
        ) from None
    root = run_dir.resolve()
    for stage in lock.stages:
        if not (root / stage.artifact.path).resolve().is_relative_to(root):
            raise StageError(f"{path}: '{stage.artifact.path}' of stage '{stage.id}' is a link out of the run's folder")
    return lock


def write_lock(run_dir: Path, lock: RunLock) -> None:
    """Write the lock atomically."""
    write_json(run_dir / LOCK_NAME, lock.model_dump(mode="json"))


def artifact_at(run_dir: Path, stage: LockedStage) -> Artifact:
    """Return a sealed stage's artifact with its absolute path, its file's SHA-256 compared with what was sealed.

    Raises:
        StageError: the file is gone, or is not what was sealed.
    """
    path = run_dir.absolute() / stage.artifact.path
    check_digest(path, stage)
    return stage.artifact.model_copy(update={"path": path})


def check_digest(path: Path, stage: LockedStage) -> None:
    """Compare the file of a stage with what was sealed.

    Raises:
        StageError: it is gone, or another one.
    """
    hint = f"`imgc run --resume --name {path.parents[1].name}` makes stage '{stage.id}' again"
    try:
        found = sha256_file(path)
    except FileNotFoundError:
        raise StageError(f"{path}: gone since stage '{stage.id}' was sealed", hint=hint) from None
    if found != stage.artifact.sha256:
        raise StageError(
            f"{path}: damaged: its SHA-256 is {found[:12]}, sealed was {stage.artifact.sha256[:12]}; not used",
            hint=hint,
        )
