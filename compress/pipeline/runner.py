"""`run_recipe`: carry out a plan stage by stage; reuse what is sealed, seal what is new, never record a failure."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compress.core.artifact import Artifact, StageOutput
from compress.core.stage import Reporter, RunContext, SilentReporter
from compress.core.storage import write_json, write_text
from compress.distributed.distributed_run import leading, shared
from compress.errors import ImgcError, StageError
from compress.pipeline.call import call_stage
from compress.pipeline.environment import environment
from compress.pipeline.failure import expected_failure, named
from compress.pipeline.gates import GATES_NAME, GateOutcome, check_gates
from compress.pipeline.inputs import file_artifact
from compress.pipeline.key import key_of, key_parts, lazy_fingerprint
from compress.pipeline.lock import LockedStage, RunLock, artifact_at, read_lock, write_lock
from compress.pipeline.run_dir import (
    ENVIRONMENT_NAME,
    PARTIAL_NAME,
    RECIPE_NAME,
    RESOLVED_NAME,
    partial_dir,
    point_latest,
    put_aside,
    put_in_place,
    run_path,
    writing,
)
from compress.pipeline.seal import claimed_artifact, copy_sealed, find_sealed, read_seal, write_seal
from compress.recipe.dump import dump_yaml
from compress.recipe.load import LoadedRecipe
from compress.recipe.plan import Plan, PlannedStage, plan

Watch = Callable[[RunLock], None]

_DEAR_S = 10.0  # a stage that took longer is not thrown away


@dataclass(frozen=True)
class RunOutcome:
    """A finished run.

    Attributes:
        run_dir: its folder.
        lock: its sealed stages.
        gates: one result for each bound of the recipe's gates; `require_gates` raises for broken ones.
        reused: ids of the stages that were not executed this time.
    """

    run_dir: Path
    lock: RunLock
    gates: list[GateOutcome]
    reused: tuple[str, ...]


def run_recipe(
    loaded: LoadedRecipe,
    *,
    runs_dir: Path,
    name: str | None = None,
    reporter: Reporter | None = None,
    device: str = "cpu",
    deterministic: bool = False,
    watch: Watch | None = None,
) -> RunOutcome:
    """Carry out a recipe in `runs_dir/name`; a stage whose work is already sealed is not done again.

    Broken gates are in the result and raise nothing here, so that the report can be written first.

    Args:
        loaded: the recipe.
        runs_dir: the folder of all runs.
        name: the run's name instead of the recipe's.
        reporter: where progress is told.
        device: where torch computes, such as "cpu" or "cuda".
        deterministic: whether torch refuses what may give other bits each time.
        watch: called with the sealed stages before each stage that has to be executed. What it raises ends the run;
            a later one goes on from there.

    Raises:
        RecipeError: the recipe cannot be planned.
        UsageError: another process writes the run, or the folder cannot be written.
        StageError: a stage failed, or the disk is full. Sealed stages stay and are reused.
    """
    reporter = reporter or SilentReporter()
    for text in loaded.warnings:
        reporter.warn(text)
    planned = plan(loaded)
    if name is not None:
        planned = replace(planned, name=name)
    run_dir = run_path(runs_dir, planned.name)
    with writing(run_dir), leading():
        write_text(run_dir / RECIPE_NAME, loaded.text or dump_yaml(planned.resolved()))
        write_text(run_dir / RESOLVED_NAME, dump_yaml(planned.resolved()))
        write_json(run_dir / ENVIRONMENT_NAME, environment(device))
        point_latest(run_dir)
        return _Runner(planned, run_dir, reporter, device, deterministic, watch).run()


class _Runner:
    """One attempt at one run."""

    def __init__(
        self,
        planned: Plan,
        run_dir: Path,
        reporter: Reporter,
        device: str,
        deterministic: bool,
        watch: Watch | None,
    ) -> None:
        self._plan = planned
        self._run_dir = run_dir
        self._reporter = reporter
        self._device = device
        self._deterministic = deterministic
        self._watch = watch
        self._fingerprint = lazy_fingerprint(planned.data, planned.seed, reporter)
        self._artifacts: dict[str, Artifact] = {}
        self._found_here: list[str] = []  # reused and not said yet
        self._lock = self._lock_so_far()

    def run(self) -> RunOutcome:
        """Bring every stage to its sealed state, tidy, and check the gates."""
        reused = []
        for stage in self._plan.stages:
            inputs = {role: self._input(source) for role, source in stage.inputs.items()}
            hashes = {role: artifact.sha256 for role, artifact in inputs.items()}
            parts = key_parts(stage.config, hashes, self._plan.seed, self._fingerprint, self._reporter)
            if self._reuse(stage, parts):
                reused.append(stage.id)
            else:
                if self._watch is not None:
                    self._watch(self._lock.first(stage.index - 1))
                self._execute(stage, inputs, parts)
        self._say_found_here()
        self._record_only_the_plan()
        gates = check_gates(self._plan.gates, self._lock, self._run_dir)
        write_json(self._run_dir / GATES_NAME, gates)
        return RunOutcome(self._run_dir, self._lock, gates, tuple(reused))

    def _lock_so_far(self) -> RunLock:
        try:
            lock = read_lock(self._run_dir)
        except StageError as error:
            self._reporter.warn(f"{error.message}; it is written anew from the sealed stages")
            lock = None
        return lock if lock and lock.name == self._plan.name else RunLock(name=self._plan.name)

    def _input(self, source: str | Path) -> Artifact:
        return self._artifacts[source] if isinstance(source, str) else file_artifact(source)

    def _reuse(self, stage: PlannedStage, parts: dict[str, object]) -> bool:
        """Take a stage from where the same work is already sealed; return whether there was any."""
        key = key_of(parts)
        place = self._run_dir / stage.folder_name
        source = find_sealed(self._run_dir, key, self._reporter, first=place)
        seal = read_seal(source) if source else None
        if source is None or seal is None or (stage.config.of_the_moment and source != place):
            return False
        wanted = _in_place_of(seal, stage, reused=seal.reused or not source.is_relative_to(self._run_dir))
        if source != place or seal != wanted:
            self._take(source, wanted, place)
        if source == place:
            self._found_here.append(stage.id)
        else:
            self._reporter.info(f"{stage.id}: reused from {self._shown(source)}")
        self._record(wanted)
        return True

    def _take(self, source: Path, wanted: LockedStage, place: Path) -> None:
        """Bring a sealed folder to this stage's place: a finished partial is moved, any other is hard-linked."""
        partial = self._run_dir / PARTIAL_NAME / f"{place.name}-{wanted.key[:16]}"
        if source != partial:
            shutil.rmtree(partial, ignore_errors=True)
            copy_sealed(source, partial)
        write_seal(partial, wanted)
        put_in_place(partial, place)

    def _execute(self, stage: PlannedStage, inputs: Mapping[str, Artifact], parts: dict[str, object]) -> None:
        """Run a stage in its partial folder and seal what it made."""
        key = key_of(parts)
        folder = partial_dir(self._run_dir, stage, key)
        self._say_found_here()
        self._say_start(stage, inputs)
        began = time.monotonic()
        output = self._call(stage, inputs, folder)
        seconds = round(time.monotonic() - began, 3)
        config = stage.config
        artifact = claimed_artifact(output, folder, stage.id, config.kind, config.produces)
        sealed = LockedStage(
            id=stage.id,
            kind=config.kind,
            index=stage.index,
            key=key,
            key_parts=parts,
            inputs={role: str(source) for role, source in stage.inputs.items()},
            artifact=artifact.model_copy(update={"path": Path(stage.folder_name) / artifact.path}),
            seconds=seconds,
            reused=False,
        )
        write_seal(folder, sealed)
        # Not before: until there is something better, the lock says what an earlier attempt made.
        self._lock = self._lock.first(stage.index - 1)
        write_lock(self._run_dir, self._lock)
        self._keep_what_was_dear(self._run_dir / stage.folder_name)
        put_in_place(folder, self._run_dir / stage.folder_name)
        self._record(sealed)
        self._reporter.info(f"{stage.id}: wrote {self._artifacts[stage.id].path} in {seconds:.1f} s")

    def _call(self, stage: PlannedStage, inputs: Mapping[str, Artifact], folder: Path) -> StageOutput:
        context = RunContext(
            folder, self._plan.seed, self._plan.data, self._device, self._reporter, self._deterministic
        )
        try:
            with shared(stage.config, inputs, context) as own:
                output = call_stage(stage.config, inputs, own)
        except KeyboardInterrupt:
            self._reporter.warn(
                f"stopped in stage '{stage.id}'; `imgc run --resume --name {self._plan.name}` goes on from here"
            )
            raise
        except ImgcError as error:
            raise named(error, stage.id) from error.__cause__
        except Exception as error:
            raise expected_failure(error, stage.id, folder) from error
        return output

    def _say_found_here(self) -> None:
        """Say in one line which stages in a row this run had already."""
        if self._found_here:
            self._reporter.info(f"{', '.join(self._found_here)}: reused, done before")
            self._found_here.clear()

    def _say_start(self, stage: PlannedStage, inputs: Mapping[str, Artifact]) -> None:
        reads = ", ".join(f"{role}: {self._shown(artifact.path)}" for role, artifact in inputs.items())
        self._reporter.info(f"{stage.id}: running" + (f", reads {reads}" if reads else ""))

    def _shown(self, path: Path) -> str:
        """Return a path below the folder of all runs without what is above it."""
        runs_dir = self._run_dir.parent
        return str(path.relative_to(runs_dir)) if path.is_relative_to(runs_dir) else str(path)

    def _record(self, sealed: LockedStage) -> None:
        lock = self._lock.with_stage(sealed)
        if lock is not self._lock:
            write_lock(self._run_dir, lock)
        self._lock = lock
        self._artifacts[sealed.id] = artifact_at(self._run_dir, sealed)

    def _record_only_the_plan(self) -> None:
        """Put stages aside that the recipe does not have or read (a verb added them), and clear what attempts left."""
        self._lock = self._lock.first(len(self._plan.stages))
        write_lock(self._run_dir, self._lock)
        current = {stage.folder_name for stage in self._plan.stages}
        read = [source for stage in self._plan.stages for source in stage.inputs.values() if isinstance(source, Path)]
        current |= {source.parent.name for source in read if source.parent.parent.resolve() == self._run_dir.resolve()}
        kept = {stage.key for stage in self._lock.stages}
        for folder in self._run_dir.glob("[0-9]*-*"):
            seal = None if folder.name in current or folder.is_symlink() else read_seal(folder)
            if seal is not None and seal.key in kept:
                shutil.rmtree(folder)  # it has another number now
            elif seal is not None:
                self._put_aside(folder)
        shutil.rmtree(self._run_dir / PARTIAL_NAME, ignore_errors=True)

    def _keep_what_was_dear(self, place: Path) -> None:
        """Put aside what another recipe of this name made here, if it took long; it is used again when it fits."""
        seal = read_seal(place)
        if seal is None or seal.seconds < _DEAR_S:
            return
        aside = put_aside(place, f"{place.name}-{seal.key[:8]}")
        self._reporter.warn(f"{self._shown(place)}: made anew; what was there is kept in {self._shown(aside)}")

    def _put_aside(self, folder: Path) -> None:
        aside = put_aside(folder, folder.name)
        self._reporter.warn(f"{self._shown(folder)}: no stage of the recipe, moved to {self._shown(aside)}")


def _in_place_of(seal: LockedStage, stage: PlannedStage, *, reused: bool) -> LockedStage:
    """Return a seal as it reads in this stage's place."""
    moved = {"stage_id": stage.id, "path": Path(stage.folder_name) / seal.artifact.path.name}
    return seal.model_copy(
        update={
            "id": stage.id,
            "index": stage.index,
            "inputs": {role: str(source) for role, source in stage.inputs.items()},
            "artifact": seal.artifact.model_copy(update=moved),
            "reused": reused,
        }
    )
