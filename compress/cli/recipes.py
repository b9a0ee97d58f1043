"""`imgc run` and `imgc plan`: whole chains from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import RUNS, AsJson, Deterministic, Device, Junit, RunsDir, reporter_of
from compress.cli.output import echo
from compress.cli.report import show_report

if TYPE_CHECKING:
    from compress.recipe.load import LoadedRecipe
    from compress.recipe.plan import Plan, PlannedStage

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. stages.prune.keep=0.5. Repeatable."),
]


def plan(
    ctx: typer.Context,
    recipe: Annotated[Path | None, typer.Argument(help="Recipe file (YAML). Default: ./imgc.yaml.")] = None,
    sets: Overrides = None,
    times: Annotated[
        bool, typer.Option("--times", help="Also measure a training step and say how long each stage will take.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a recipe and show what it would do."""
    from compress.cli.local_recipe import LOCAL_RECIPE
    from compress.cli.output import print_json
    from compress.recipe.load import load_recipe
    from compress.recipe.plan import plan as plan_recipe

    loaded = load_recipe(recipe or LOCAL_RECIPE, sets or [])
    for text in loaded.warnings:
        echo(f"warning: {text}", err=True)
    planned = plan_recipe(loaded)
    if as_json:
        print_json(planned.resolved() | (_times_json(ctx, planned) if times else {}))
        return
    _print_plan(planned)
    if times:
        _print_times(ctx, planned)


def _times_json(ctx: typer.Context, planned: Plan) -> dict[str, object]:
    from compress.cli.plan_times import stage_times

    return {"expected_seconds": {one.stage: round(one.seconds, 1) for one in stage_times(planned, reporter_of(ctx))}}


def _print_times(ctx: typer.Context, planned: Plan) -> None:
    from compress.cli.output import print_table
    from compress.cli.plan_times import stage_times

    found = stage_times(planned, reporter_of(ctx))
    rows = [(one.stage, f"{one.seconds:.0f}", one.instead) for one in found]
    total = ("all", f"{sum(one.seconds for one in found):.0f}", "")
    print_table("about, on this machine now", ("stage", "seconds", "without it, or shorter"), [*rows, total], left=1)


def _print_plan(planned: Plan) -> None:
    from compress.cli.output import print_table

    rows = [
        (
            stage.index,
            stage.id,
            stage.config.kind,
            _reads(stage) or "-",
            stage.config.produces.value,
        )
        for stage in planned.stages
    ]
    print_table(f"run {planned.name}, seed {planned.seed}", ("#", "stage", "kind", "reads", "makes"), rows, left=5)
    for gate in planned.gates:
        bounds = [f"{name} {value:.10g}" for name, value in (("min", gate.min), ("max", gate.max)) if value is not None]
        against = f" against {gate.baseline}" if gate.baseline else ""
        echo(f"gate: {gate.metric} at {gate.at}{against}: {' and '.join(bounds)}")


def _reads(stage: PlannedStage) -> str:
    """Return what a stage reads; a role that only repeats its source is not worth telling."""
    inputs = stage.inputs.items()
    return ", ".join(str(source) if role.endswith(f":{source}") else f"{role}: {source}" for role, source in inputs)


def run(
    ctx: typer.Context,
    recipe: Annotated[
        Path | None, typer.Argument(help="Recipe file (YAML). Default: ./imgc.yaml; with --resume the latest run.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: the recipe's.")] = None,
    sets: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run as it was begun.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say first why each stage will run or be reused.")] = False,
    device: Device = "cpu",
    deterministic: Deterministic = False,
    junit: Junit = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
) -> None:
    """Carry out a recipe. Stages whose work is already sealed are reused, so running again costs seconds."""
    from compress.pipeline.explain import explain as explain_run
    from compress.pipeline.gates import require_gates
    from compress.pipeline.runner import run_recipe

    loaded = _chosen(recipe, name, sets or [], runs_dir, resume=resume)
    if explain:
        for stage in explain_run(loaded, runs_dir=runs_dir, name=name, reporter=reporter_of(ctx)):
            echo(f"{stage.stage_id}: {stage.action}, {'; '.join(stage.reasons)}", err=as_json)
    result = run_recipe(
        loaded, runs_dir=runs_dir, name=name, reporter=reporter_of(ctx), device=device, deterministic=deterministic
    )
    show_report(result.run_dir, as_json=as_json, junit=junit)
    require_gates(result.gates)


def _chosen(recipe: Path | None, name: str | None, sets: list[str], runs_dir: Path, *, resume: bool) -> LoadedRecipe:
    from compress.cli.local_recipe import LOCAL_RECIPE
    from compress.errors import UsageError
    from compress.pipeline.current import current_run, load_run
    from compress.recipe.load import load_recipe

    if recipe is None and not resume:
        if not LOCAL_RECIPE.is_file():
            raise UsageError(
                f"no recipe given, and there is no ./{LOCAL_RECIPE}",
                hint="imgc init IMAGES writes one; imgc run --resume goes on with the latest run",
            )
        recipe = LOCAL_RECIPE
    if recipe is not None:
        return load_recipe(recipe, sets)
    if sets:
        raise UsageError("--set changes a recipe, and none was given", hint="imgc run RECIPE --resume --set ...")
    return load_run(current_run(runs_dir, name))
