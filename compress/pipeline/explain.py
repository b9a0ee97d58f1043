"""Why a stage would run again: the parts of its key compared with what the run's folders say.

`require_kept` is the same comparison before a verb: what adds a stage leaves the sealed ones as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from compress.core.stage import Reporter, SilentReporter
from compress.errors import UsageError
from compress.pipeline.inputs import file_artifact
from compress.pipeline.key import changes, key_of, key_parts, lazy_fingerprint
from compress.pipeline.lock import LockedStage
from compress.pipeline.run_dir import RESOLVED_NAME, run_path
from compress.pipeline.seal import find_sealed, read_seal
from compress.recipe.load import LoadedRecipe
from compress.recipe.plan import PlannedStage, plan

_DAMAGED = "its sealed file is missing or damaged"


@dataclass(frozen=True)
class Explanation:
    """What would happen to one stage, and why.

    Attributes:
        stage_id: the stage.
        action: "reuse" takes what is sealed, "run" executes it.
        reasons: one line each, such as `config.keep: 0.7 -> 0.5`.
        replaced: why what this run has sealed of the stage would be replaced, one line each; empty where it stays, or
            where there is nothing. Not only what runs replaces: equal work of another run may be taken instead.
    """

    stage_id: str
    action: Literal["reuse", "run"]
    reasons: tuple[str, ...]
    replaced: tuple[str, ...] = ()


def explain(
    loaded: LoadedRecipe, *, runs_dir: Path, name: str | None = None, reporter: Reporter | None = None
) -> tuple[Explanation, ...]:
    """Return for each stage whether `run_recipe` would execute it, and why. Writes nothing.

    Raises:
        RecipeError: the recipe cannot be planned.
        DataError: the images cannot be used.
    """
    planned = plan(loaded)
    run_dir = run_path(runs_dir, name or planned.name)
    reporter = reporter or SilentReporter()
    fingerprint = lazy_fingerprint(planned.data, planned.seed, reporter)
    hashes: dict[str, str] = {}  # id -> content of the stages that would be reused
    before = {seal.id: seal for seal in _seals(run_dir)}
    result: list[Explanation] = []
    for stage in planned.stages:
        sources = sorted({source for source in stage.inputs.values() if isinstance(source, str)})
        if waits := [source for source in sources if source not in hashes]:
            lost = {above.stage_id for above in result if above.replaced} if stage.id in before else set()
            replaced = tuple(_made_anew(source) for source in waits if source in lost)
            result.append(Explanation(stage.id, "run", tuple(map(_made_anew, waits)), replaced))
            continue
        parts = key_parts(stage.config, _input_hashes(stage, hashes), planned.seed, fingerprint, reporter)
        source = find_sealed(run_dir, key_of(parts), reporter, first=run_dir / stage.folder_name)
        seal = read_seal(source) if source else None
        reasons, replaced = _reasons(before.get(stage.id), parts), _replaced(before.get(stage.id), parts)
        if source is not None and seal is not None:
            hashes[stage.id] = seal.artifact.sha256
            where = f"sealed in {source.relative_to(run_dir.parent)}"
            result.append(Explanation(stage.id, "reuse", (where,), () if reasons == (_DAMAGED,) else replaced))
        else:
            result.append(Explanation(stage.id, "run", reasons, replaced))
    return tuple(result)


def require_kept(loaded: LoadedRecipe, kept: Collection[str], *, runs_dir: Path, name: str) -> None:
    """Return if carrying out a recipe leaves what a run has sealed as it is. Writes nothing.

    Args:
        loaded: the recipe.
        kept: ids of the sealed stages that are to stay.
        runs_dir: the folder of all runs.
        name: of the run.

    Raises:
        UsageError: names the first stage that would be made anew, and why; then those that follow from it.
        RecipeError: the recipe cannot be planned.
        DataError: the images cannot be used.
    """
    found = explain(loaded, runs_dir=runs_dir, name=name)  # silent: whoever runs it says the same of the images
    lost = [stage for stage in found if stage.stage_id in kept and stage.replaced]
    if not lost:
        return
    after = f", and after it {', '.join(stage.stage_id for stage in lost[1:])}" if lost[1:] else ""
    run_dir = run_path(runs_dir, name)
    free = next(other for n in count(2) if not run_path(runs_dir, other := f"{name}-{n}").exists())
    raise UsageError(
        f"run '{name}': its sealed stage '{lost[0].stage_id}' would be made anew{after}, since it is not what it was "
        f"made from any more: {'; '.join(lost[0].replaced)}",
        hint=f"`imgc run --resume --name {name}` makes it anew, as its recipe says; to keep what is sealed, choose "
        f"another --name: `imgc run {_shown(run_dir / RESOLVED_NAME)} --name {free}`",
    )


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _input_hashes(stage: PlannedStage, hashes: dict[str, str]) -> dict[str, str]:
    return {
        role: hashes[source] if isinstance(source, str) else file_artifact(source).sha256
        for role, source in stage.inputs.items()
    }


def _seals(run_dir: Path) -> list[LockedStage]:
    seals = (read_seal(folder) for folder in sorted(run_dir.glob("[0-9]*-*")))
    return [seal for seal in seals if seal is not None]


def _made_anew(source: str) -> str:
    return f"its input '{source}' is made anew"


def _reasons(before: LockedStage | None, parts: dict[str, object]) -> tuple[str, ...]:
    """Return why a stage runs for which no whole sealed folder is found."""
    if before is None:
        return ("never finished in this run",)
    return tuple(changes(before.key_parts, parts)) or (_DAMAGED,)


def _replaced(before: LockedStage | None, parts: dict[str, object]) -> tuple[str, ...]:
    """Return why what is sealed would be replaced: the reasons but for images given to a run that had none.

    They were asked for, with --data: such a run began with a model file.
    """
    if before is None:
        return ()
    reasons = _reasons(before, parts)
    had_none = before.key_parts.get("data") == ""
    return tuple(line for line in reasons if not (had_none and line.startswith("data: ")))
