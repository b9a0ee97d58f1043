"""The current run: found by name or by `runs/latest`, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compress.core.artifact import Artifact
from compress.core.formats import MODEL_FORMATS, Format
from compress.errors import UsageError
from compress.pipeline.lock import artifact_at, read_lock
from compress.pipeline.run_dir import LATEST, RECIPE_NAME, RESOLVED_NAME, run_path
from compress.recipe.load import LoadedRecipe, load_recipe, read_text
from compress.recipe.locate import nearest_word
from compress.recipe.schema import Recipe
from compress.recipe.siblings import is_sibling


def current_run(runs_dir: Path, name: str | None = None) -> Path:
    """Return the folder of the run with this name, or of the newest run, which is also called `latest`.

    Raises:
        UsageError: there is none.
    """
    if name is not None and (Path(name) / RESOLVED_NAME).is_file():  # its folder, as people type it
        return Path(name).resolve()
    run_dir = (runs_dir / LATEST).resolve() if name in (None, LATEST) else run_path(runs_dir, name)
    if (run_dir / RESOLVED_NAME).is_file():
        return run_dir
    folders = runs_dir.iterdir() if runs_dir.is_dir() else ()
    names = sorted(path.name for path in folders if path.name != LATEST and (path / RESOLVED_NAME).is_file())
    what = f"there is no run '{name}'" if name else "there is no run yet"
    hint = "`imgc train` or `imgc run RECIPE` starts one"
    raise UsageError(f"{what} in {runs_dir.absolute()}", hint=f"runs: {', '.join(names)}" if names else hint)


def load_run(run_dir: Path, *, schema: type[Recipe] = Recipe) -> LoadedRecipe:
    """Return the recipe a run was made from, to run it again or to resume it.

    Raises:
        RecipeError: it cannot be read.
    """
    loaded = load_recipe(run_dir / RESOLVED_NAME, schema=schema)
    given = run_dir / RECIPE_NAME
    return LoadedRecipe(
        recipe=loaded.recipe,
        text=read_text(given) if given.is_file() else loaded.text,
        resolved=loaded.resolved,
        path=loaded.path,
        root=loaded.root,
    )


def find_artifact(run_dir: Path, stage_id: str | None = None, formats: Sequence[Format] = MODEL_FORMATS) -> Artifact:
    """Return a sealed artifact of a run, with its absolute path: the named stage's, else the newest of these formats.

    Siblings of pruned stages are there to be compared with; they are returned by name alone.

    Raises:
        UsageError: the run has no such artifact.
        StageError: the run's lock is damaged.
    """
    lock = read_lock(run_dir)
    stages = () if lock is None else lock.stages
    sealed = [stage.id for stage in stages]
    for stage in reversed(stages):
        meant = stage.artifact.format in formats and not is_sibling(stage.id, stage.inputs.get("like"), sealed)
        if stage.id == stage_id or (stage_id is None and meant):
            return artifact_at(run_dir, stage)
    nearest = nearest_word(stage_id, sealed) if stage_id else ""
    what = f"stage '{stage_id}'" if stage_id else f"artifact of format {' or '.join(formats)}"
    raise UsageError(
        f"{run_dir} has no sealed {what}; sealed: {', '.join(sealed) or 'nothing'}",
        hint=f"did you mean '{nearest}'?" if nearest else f"`imgc run --resume` finishes it{_others(run_dir)}",
    )


def _others(run_dir: Path) -> str:
    """Return that another run can be named, and which there are."""
    found = sorted(path.parent.name for path in run_dir.parent.glob(f"*/{RESOLVED_NAME}") if path.parent != run_dir)
    names = [name for name in found if name != LATEST]
    return f"; another run: --run {' or '.join(names[:5])}" if names else ""
