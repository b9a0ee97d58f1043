"""One setting carried out: the chain as an ordinary run, stopped where it is hopeless or where the time is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compress.benchmark.bench_file import read_bench
from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Bench, Row
from compress.core.artifact import Artifact
from compress.core.digest import sha256_json
from compress.core.formats import Format
from compress.core.json_types import Json
from compress.core.stage import Reporter
from compress.errors import StageError
from compress.measure.arena import arena_bytes
from compress.pipeline.lock import RunLock, artifact_at
from compress.pipeline.runner import RunOutcome, run_recipe
from compress.recipe.load import recipe_from_dict
from compress.tune.footprint import SHARE, Footprint
from compress.tune.goal import TrialResult
from compress.tune.space import Base, Knobs, footprint_recipe, recipe_of
from compress.tune.stage_time import step_seconds
from compress.tune.task import FINAL, FLOAT


@dataclass(frozen=True)
class TrialContext:
    """Where and how the chains run.

    Attributes:
        runs_dir: folder of all runs.
        name: of the search; its runs begin with it.
        device: where torch computes.
        ms_per_mmac: of the device that is searched for; None measures here.
        reporter: shows progress.
    """

    runs_dir: Path
    name: str
    device: str
    ms_per_mmac: float | None
    reporter: Reporter


def run_name(name: str, knobs: Knobs, share: float) -> str:
    """Return the name of a setting's run: the same setting finds its sealed stages again."""
    digest = sha256_json([knobs.model_dump(mode="json"), round(share, 4)])[:6]
    return f"{name}-{knobs.arch}-{knobs.input_px}-{digest}"


def try_out(
    knobs: Knobs, share: float, base: Base, context: TrialContext, watch: Callable[[RunLock], None]
) -> tuple[TrialResult, dict[str, float]]:
    """Return what came of a setting on the validation images, and kind of stage -> seconds, wherever it was made.

    Raises:
        ImgcError: a stage failed; and whatever `watch` raises.
    """
    name = run_name(context.name, knobs, share)
    result = carry_out(recipe_of(knobs, base, name, share, "val"), context, watch)
    seconds = {stage.kind: stage.seconds for stage in result.lock.stages}
    return point_of(result, name, context), seconds


def point_of(result: RunOutcome, name: str, context: TrialContext) -> TrialResult:
    """Return a finished chain as a point.

    Raises:
        StageError: the exported file could not be measured.
    """
    row = row_of(_bench(result), FINAL)
    found = accuracy_of(row)
    if row.n_images is None or found.pct is None or found.drop_pp is None or row.latency_p50_ms is None:
        raise StageError(f"{final_file(result)}: could not be measured: {row.error}", hint=f"imgc report {name}")
    return TrialResult(
        name=name,
        n_images=row.n_images,
        top1_pct=row.top1_pct,
        drop_pp=found.drop_pp,
        size_bytes=row.size_bytes,
        latency_ms=latency_ms_of(row, context),
        memory_bytes=_memory(result),
        map_pct=row.map_pct,
        map_ci95_pct=row.map_ci95_pct,
    )


def measure_footprint(arch: str, input_px: int, base: Base, context: TrialContext) -> Footprint:
    """Return what an architecture weighs untrained.

    Raises:
        ImgcError: it cannot be built, pruned or exported.
    """
    name = f"{context.name}-{arch}-size"
    result = carry_out(footprint_recipe(arch, input_px, base, name, SHARE), context, None)
    whole = _artifact(result, FLOAT).spec
    assert whole is not None
    row = row_of(_bench(result), FINAL)
    return Footprint(
        input_px=input_px,
        params=whole.params,
        left_params=row.params or 0,
        size_bytes=row.size_bytes,
        latency_ms=latency_ms_of(row, context),
        memory_bytes=_memory(result),
        step_s=step_seconds(arch, input_px, base.task),
    )


def carry_out(recipe: Mapping[str, Json], context: TrialContext, watch: Callable[[RunLock], None] | None) -> RunOutcome:
    """Run a recipe made here."""
    loaded = recipe_from_dict(recipe, Path.cwd(), source="imgc tune")
    return run_recipe(loaded, runs_dir=context.runs_dir, reporter=context.reporter, device=context.device, watch=watch)


def row_of(bench: Bench, stage_id: str) -> Row:
    """Return the row of a stage."""
    return next(row for row in bench.rows if row.stage == stage_id)


def final_file(result: RunOutcome) -> Path:
    """Return the exported file."""
    return _artifact(result, FINAL).path


def _bench(result: RunOutcome) -> Bench:
    return read_bench(_artifact(result, "benchmark").path)


def _artifact(result: RunOutcome, stage_id: str) -> Artifact:
    stage = result.lock.find(stage_id)
    assert stage is not None
    return artifact_at(result.run_dir, stage)


def latency_ms_of(row: Row, context: TrialContext) -> float:
    """Return a row's median as the goal means it: measured here, or estimated for the device."""
    assert row.latency_p50_ms is not None
    if context.ms_per_mmac is None or row.macs is None:
        return row.latency_p50_ms
    return row.macs / 1e6 * context.ms_per_mmac


def _memory(result: RunOutcome) -> int | None:
    file = _artifact(result, FINAL)
    return arena_bytes(file.path) if file.format is Format.TFLITE else None
