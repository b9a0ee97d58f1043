"""The end of a search: one model chosen on the validation images, tested once, with its recipe and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.benchmark.bench_file import read_bench
from compress.benchmark.row_accuracy import ACCURACY, accuracy_of
from compress.core.json_types import JsonObject
from compress.core.storage import write_json, write_text
from compress.pipeline.lock import artifact_at
from compress.pipeline.runner import RunOutcome
from compress.recipe.dump import dump_yaml
from compress.runtime.host import host
from compress.tune.goal import (
    Goal,
    TrialResult,
    choose,
    close,
    leader,
    misses,
    nearest,
    pareto,
    standard_error_pp,
    ways_out,
)
from compress.tune.schema import GivenUp, Tested, TriedSetting, TuneReport, WayOut
from compress.tune.space import Base, recipe_of
from compress.tune.study import CompletedTrial, Study
from compress.tune.task import FINAL, FLOAT
from compress.tune.trial import TrialContext, carry_out, final_file, latency_ms_of, row_of

JSON_NAME, RECIPE_NAME = "tune.json", "recipe.yaml"


@dataclass(frozen=True)
class SearchRequest:
    """What was searched for."""

    goal: Goal
    base: Base
    context: TrialContext
    device: str | None


def conclude(study: Study, asked: SearchRequest, folder: Path) -> TuneReport:
    """Choose, test the chosen model once, write `tune.json` and `recipe.yaml`, and return what was found.

    The test is a stage of the run that has the search's name: sealed, so that the same model is never tested again.

    Args:
        study: what was tried.
        asked: what was searched for.
        folder: receives the files.

    Raises:
        ImgcError: the test failed.
    """
    tried = study.tried()
    points = [one.point for one in tried]
    chosen = choose(points, asked.goal)
    test = file = None
    if chosen is not None:
        one = next(one for one in tried if one.point == chosen)
        recipe = recipe_of(one.knobs, asked.base, asked.context.name, one.share, "test")
        write_text(folder / RECIPE_NAME, _head(asked, chosen) + dump_yaml(recipe))
        result = carry_out(recipe, asked.context, None)
        test, file = _tested(result, asked.context), final_file(result)
    report = TuneReport(
        name=asked.context.name,
        goal=asked.goal,
        runtime=asked.base.runtime,
        device=asked.device,
        estimated=asked.context.ms_per_mmac is not None,
        host=host(),
        spent_s=round(study.spent_s(), 1),
        tried=tuple(_found(one, asked.goal, pareto(points)) for one in tried),
        given_up=tuple(GivenUp(knobs=one.knobs, reason=one.reason) for one in study.dropped()),
        chosen=chosen.name if chosen else None,
        reason=_reason(points, chosen, asked.goal),
        ways_out=() if chosen else tuple(_ways_out(points, asked.goal)),
        run=asked.context.name if chosen else None,
        file=str(file) if file else None,
        test=test,
        task=asked.base.task,
    )
    write_json(folder / JSON_NAME, report.model_dump(mode="json"))
    return report


def _found(one: CompletedTrial, goal: Goal, front: Sequence[TrialResult]) -> TriedSetting:
    broken = {miss.limit: miss.found for miss in misses(one.point, goal)}
    return TriedSetting(knobs=one.knobs, share=one.share, point=one.point, misses=broken, pareto=one.point in front)


def _ways_out(points: Sequence[TrialResult], goal: Goal) -> list[WayOut]:
    return [
        WayOut(limit=miss.limit, allowed=miss.allowed, needed=miss.found, run=point.name)
        for miss, point in ways_out(points, goal)
    ]


def _reason(points: Sequence[TrialResult], chosen: TrialResult | None, goal: Goal) -> str:
    if not points:
        return "nothing was tried to the end: give more --budget"
    if chosen is None:
        near = nearest(points, goal)
        assert near is not None
        broken = ", ".join(
            f"{miss.limit} {miss.found:.10g} (allowed {miss.allowed:.10g})" for miss in misses(near, goal)
        )
        return f"none of {len(points)} models is within the goal; the nearest is {near.name}: {broken}"
    first = leader(points, goal)
    assert first is not None
    within = sum(not misses(one, goal) for one in points)
    equals = len(close(points, goal))
    return (
        f"the best of the fastest among {equals} models whose {ACCURACY[first.task].name} lies within one standard"
        f" error ({standard_error_pp(first):.2f} pp) of the greatest, {first.accuracy_pct:.2f} % of {first.n_images}"
        f" validation images; {within} models are within the goal, of {len(points)} tried"
    )


def _tested(result: RunOutcome, context: TrialContext) -> Tested:
    stage = result.lock.find("benchmark")
    assert stage is not None
    bench = read_bench(artifact_at(result.run_dir, stage).path)
    row, reference = row_of(bench, FINAL), row_of(bench, FLOAT)
    values: JsonObject = {
        "n_images": row.n_images,
        "top1_pct": row.top1_pct,
        "top1_ci95_pct": row.top1_ci95_pct,
        "float_top1_pct": reference.top1_pct,
        "drop_pp": accuracy_of(row).drop_pp,
        "size_bytes": row.size_bytes,
        "latency_ms": latency_ms_of(row, context),
        "map_pct": row.map_pct,
        "map_ci95_pct": row.map_ci95_pct,
        "float_map_pct": reference.map_pct,
    }
    return Tested.model_validate(values)


def _head(asked: SearchRequest, chosen: TrialResult) -> str:
    bounds = ", ".join(f"{key} {value}" for key, value in asked.goal.model_dump().items() if value is not None)
    metric = ACCURACY[chosen.task].name
    return (
        f"# Chosen by `imgc tune` for: {bounds or f'the greatest {metric}'}.\n"
        f"# On the validation images: {metric} {chosen.accuracy_pct:.2f} %, drop {chosen.drop_pp:.2f} pp,"
        f" {chosen.size_bytes} bytes, {chosen.latency_ms:.2f} ms.\n"
        "# The benchmark below asks the test images, which nothing was chosen by.\n"
    )
