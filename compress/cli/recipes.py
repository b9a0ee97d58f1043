"""`imgc run` and `imgc plan`: whole chains from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli.options import RUNS, AsJson, Device, RunsDir, reporter_of

if TYPE_CHECKING:
    from compress.recipe.load import LoadedRecipe
    from compress.recipe.plan import Plan

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. stages.prune.keep=0.5. Repeatable."),
]


def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe file (YAML).")],
    sets: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Check a recipe and show what it would do, without doing it."""
    from compress.cli.output import print_json
    from compress.recipe.load import load_recipe
    from compress.recipe.plan import plan as plan_recipe

    planned = plan_recipe(load_recipe(recipe, sets or []))
    if as_json:
        print_json(planned.resolved())
        return
    _print_plan(planned)


def _print_plan(planned: Plan) -> None:
    from compress.cli.output import print_table

    rows = [
        (
            stage.index,
            stage.id,
            stage.config.kind,
            ", ".join(f"{role}: {source}" for role, source in stage.inputs.items()) or "-",
            stage.config.produces.value,
        )
        for stage in planned.stages
    ]
    print_table(f"run {planned.name}, seed {planned.seed}", ("#", "stage", "kind", "reads", "makes"), rows, left=5)
    for gate in planned.gates:
        bounds = [f"{name} {value}" for name, value in (("min", gate.min), ("max", gate.max)) if value is not None]
        typer.echo(f"gate: {gate.metric} at {gate.at} {' and '.join(bounds)}")
