"""Why a stage would run again: the parts of its key compared with what the run's folders say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compress.core.stage import Reporter, SilentReporter
from compress.pipeline.inputs import file_artifact
from compress.pipeline.key import changes, key_of, key_parts, lazy_fingerprint
from compress.pipeline.lock import LockedStage
from compress.pipeline.run_dir import run_path
from compress.pipeline.seal import find_sealed, read_seal
from compress.recipe.load import LoadedRecipe
from compress.recipe.plan import PlannedStage, plan


@dataclass(frozen=True)
class Explanation:
    """What would happen to one stage, and why.

    Attributes:
        stage_id: the stage.
        action: "reuse" takes what is sealed, "run" executes it.
        reasons: one line each, such as `config.keep: 0.7 -> 0.5`.
    """

    stage_id: str
    action: Literal["reuse", "run"]
    reasons: tuple[str, ...]


def explain(
    loaded: LoadedRecipe, *, runs_dir: Path, name: str | None = None, reporter: Reporter | None = None
) -> tuple[Explanation, ...]:
    """Return for each stage whether `run_recipe` would execute it, and why. Writes nothing.

    Raises:
        RecipeError: the recipe cannot be planned.
        DataError: the photographs cannot be used.
    """
    planned = plan(loaded)
    run_dir = run_path(runs_dir, name or planned.name)
    reporter = reporter or SilentReporter()
    fingerprint = lazy_fingerprint(planned.data, planned.seed, reporter)
    hashes: dict[str, str] = {}  # id -> content of the stages that would be reused
    before = {seal.id: seal for seal in _seals(run_dir)}
    result = []
    for stage in planned.stages:
        waits = sorted({source for source in stage.inputs.values() if isinstance(source, str) and source not in hashes})
        if waits:
            result.append(Explanation(stage.id, "run", tuple(f"its input '{source}' is made anew" for source in waits)))
            continue
        parts = key_parts(stage.config, _input_hashes(stage, hashes), planned.seed, fingerprint, reporter)
        source = find_sealed(run_dir, key_of(parts), reporter, first=run_dir / stage.folder_name)
        seal = read_seal(source) if source else None
        if source is not None and seal is not None:
            hashes[stage.id] = seal.artifact.sha256
            result.append(Explanation(stage.id, "reuse", (f"sealed in {source.relative_to(run_dir.parent)}",)))
        else:
            result.append(Explanation(stage.id, "run", _reasons(before.get(stage.id), parts)))
    return tuple(result)


def _input_hashes(stage: PlannedStage, hashes: dict[str, str]) -> dict[str, str]:
    return {
        role: hashes[source] if isinstance(source, str) else file_artifact(source).sha256
        for role, source in stage.inputs.items()
    }


def _seals(run_dir: Path) -> list[LockedStage]:
    seals = (read_seal(folder) for folder in sorted(run_dir.glob("[0-9]*-*")))
    return [seal for seal in seals if seal is not None]


def _reasons(before: LockedStage | None, parts: dict[str, object]) -> tuple[str, ...]:
    if before is None:
        return ("never finished in this run",)
    return tuple(changes(before.key_parts, parts)) or ("its sealed file is missing or damaged",)
