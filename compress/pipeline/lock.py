"""`run.lock.json`: what a run really is. The recipe is intent, the lock is fact."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from compress.core.artifact import Artifact
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: str
    index: int
    key: str
    key_parts: dict[str, Any]
    inputs: dict[str, str]
    artifact: Artifact
    seconds: float
    reused: bool


class RunLock(BaseModel):
    """All sealed stages of a run, in run order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
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
        StageError: the file is there but is not a lock.
    """
    path = run_dir / LOCK_NAME
    try:
        return RunLock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StageError(
            f"{path}: not a run lock ({error.error_count()} faults, first: {error.errors()[0]['msg']})",
            hint="`imgc run --resume` rebuilds it from the sealed stages",
        ) from None


def write_lock(run_dir: Path, lock: RunLock) -> None:
    """Write the lock atomically."""
    write_json(run_dir / LOCK_NAME, lock.model_dump(mode="json"))


def artifact_at(run_dir: Path, stage: LockedStage) -> Artifact:
    """Return a sealed stage's artifact with its absolute path."""
    return stage.artifact.model_copy(update={"path": run_dir.absolute() / stage.artifact.path})
