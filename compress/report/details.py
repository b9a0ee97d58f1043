"""What a run's folder tells beside the measured rows: stages, curves, costs of layers, changed answers, recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compress.benchmark.box_answers import BoxAnswers
from compress.benchmark.schema import Answers
from compress.core.fact import Fact
from compress.core.formats import Format
from compress.errors import StageError
from compress.package import install_command
from compress.pipeline.lock import RunLock
from compress.pipeline.run_dir import ENVIRONMENT_NAME, RECIPE_NAME, RESOLVED_NAME
from compress.report.box_changes import BoxChanges, find_box_changes
from compress.report.changes import Changes, find_changes, images_folder
from compress.report.curves import Curve, read_curves, trained_stages
from compress.report.layers import LayerCosts, read_layer_costs
from compress.report.precision_curves import PrecisionCurve, find_curves
from compress.report.rows import read_json

_ANSWERS = "answers.json"  # beside a bench.json
_SENSITIVITY = "sensitivity.json"
_ANY_ANSWERS: TypeAdapter[Answers | BoxAnswers] = TypeAdapter(Answers | BoxAnswers)


class StageRow(Fact):
    """One sealed stage.

    Attributes:
        id: of the stage.
        kind: of the stage.
        reads: role -> id of a stage of this run, or a model file.
        seconds: wall-clock time of the attempt that made it.
        reused: whether it was taken from another run instead of being executed in this one.
    """

    id: str
    kind: str
    reads: dict[str, str]
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Details:
    """The fields of `compress.report.json_report.Report` of the same names."""

    stages: tuple[StageRow, ...]
    environment: dict[str, object]
    recipe: str
    commands: tuple[str, ...]
    curves: tuple[Curve, ...]
    layer_costs: tuple[LayerCosts, ...]
    images_folder: str
    notes: tuple[str, ...]
    changes: tuple[Changes, ...] = ()
    box_changes: tuple[BoxChanges, ...] = ()
    precision: tuple[PrecisionCurve, ...] = ()


def read_details(run_dir: Path, lock: RunLock, baseline: str | None) -> Details:
    """Return what the folder tells; what cannot be told has a note that says why.

    Args:
        run_dir: the run's folder.
        lock: its sealed stages.
        baseline: of the newest benchmark; None before one.

    Raises:
        StageError: a file is damaged.
    """
    notes: list[str] = []
    answers = _answers(run_dir, lock, notes)
    return Details(
        stages=tuple(_stages(lock)),
        environment=read_json(run_dir / ENVIRONMENT_NAME, {}),
        recipe=_text(run_dir / RECIPE_NAME),
        commands=_commands(lock.name),
        curves=_curves(run_dir, lock, notes),
        layer_costs=tuple(_layer_costs(run_dir, lock)),
        images_folder=images_folder(answers.paths) if answers else "",
        notes=tuple(notes),
        **_told(answers, baseline),
    )


def _told(answers: Answers | BoxAnswers | None, baseline: str | None) -> dict[str, Any]:
    """Return the fields of `Details` that the answers of either kind of model tell."""
    if isinstance(answers, BoxAnswers) and baseline in answers.found:
        changes = find_box_changes(answers, baseline)
        return {"box_changes": changes, "precision": find_curves(answers, baseline, [one.stage for one in changes])}
    if isinstance(answers, Answers) and baseline in answers.top1:
        return {"changes": find_changes(answers, baseline)}
    return {}


def _stages(lock: RunLock) -> Iterator[StageRow]:
    for stage in lock.stages:
        yield StageRow(id=stage.id, kind=stage.kind, reads=stage.inputs, seconds=stage.seconds, reused=stage.reused)


def _commands(name: str) -> tuple[str, ...]:
    """Return what makes the run anew from nothing, measures it again, and writes this report again."""
    return (
        f"imgc run runs/{name}/{RESOLVED_NAME} --runs-dir runs-again",
        f"imgc benchmark --run {name}",
        f"imgc report {name}",
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _curves(run_dir: Path, lock: RunLock, notes: list[str]) -> tuple[Curve, ...]:
    folders = trained_stages(run_dir, lock)
    try:
        return read_curves(folders) if folders else ()
    except ImportError:
        notes.append(f"The training curves are left out: `{install_command('train')}` brings what reads them.")
        return ()


def _layer_costs(run_dir: Path, lock: RunLock) -> Iterator[LayerCosts]:
    for stage in lock.stages:
        path = run_dir / stage.artifact.path.parent / _SENSITIVITY
        if path.is_file():
            yield read_layer_costs(stage.id, path)


def _answers(run_dir: Path, lock: RunLock, notes: list[str]) -> Answers | BoxAnswers | None:
    """Return the answers beside the newest benchmark; None before one, and where it was made by an older imgc."""
    benches = [stage.artifact.path for stage in lock.stages if stage.artifact.format is Format.BENCH]
    if not benches:
        return None
    path = run_dir / benches[-1].parent / _ANSWERS
    if not path.is_file():
        notes.append("Changed answers are left out: the benchmark kept none; `imgc benchmark` measures again.")
        return None
    try:
        return _ANY_ANSWERS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise StageError(
            f"{path}: not readable answers ({str(error).splitlines()[0]})", hint="`imgc benchmark` measures again"
        ) from error
