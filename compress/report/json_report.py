"""`Report`: what `report.json` holds. Other programs read it; a field is added, never renamed or removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from compress.benchmark.schema import Bench, Row
from compress.core.fact import Fact, first_fault
from compress.errors import StageError
from compress.pipeline.gates import GATES_NAME, GateOutcome
from compress.report.box_changes import BoxChanges
from compress.report.changes import Changes
from compress.report.class_precision import ClassPrecision, class_precision
from compress.report.curves import Curve
from compress.report.details import StageRow, read_details
from compress.report.layers import LayerCosts
from compress.report.precision_curves import PrecisionCurve
from compress.report.remote_benchmarks import read_remote_benchmarks
from compress.report.rows import read_run
from compress.report.ship import Ship, file_to_ship
from compress.report.siblings import SiblingRow


class GateRow(Fact):
    """One bound of the recipe.

    Attributes:
        metric: what is bounded.
        at: id of the judged stage.
        limit: the bound.
        value: what was found; None when nothing measured it.
        passed: whether the bound holds.
    """

    metric: str
    at: str
    limit: float
    value: float | None
    passed: bool


class Report(Fact):
    """A run and its numbers.

    Attributes:
        run: name of the run.
        baseline: id of the stage that drops and agreement count from; None before a benchmark.
        host: the machine that measured.
        rows: one for each model of the run, in run order; what was not measured is None.
        siblings: one for each pruned model that was compared with the stock network of its MACs.
        gates: one for each bound of the recipe.
        sensitivity: files that say what each layer or group of a stage costs; relative to the run.
        elsewhere: the same models measured on other machines.
        stages: what was done, in run order.
        environment: the machine and the versions of the newest attempt.
        recipe: text of the recipe as it was given.
        commands: what repeats the run, the measurement and the report.
        curves: one for each stage that trained.
        layer_costs: one for each stage that measured its sensitivity.
        images_folder: that the paths in `changes` are relative to.
        changes: each classifier that answers otherwise than the baseline, the last made first.
        box_changes: each detector that finds other boxes than the baseline, likewise.
        classes: what each class of a detector is worth in each file, those that lost most first.
        precision: precision against recall of the detectors in `box_changes`, the baseline's first.
        notes: what is left out, and what would bring it.
        ship: the file to ship; None before an export.
    """

    schema_version: Literal[1] = 1
    run: str
    baseline: str | None
    host: dict[str, object]
    rows: tuple[Row, ...]
    siblings: tuple[SiblingRow, ...] = ()
    gates: tuple[GateRow, ...] = ()
    sensitivity: tuple[str, ...] = ()
    elsewhere: tuple[Bench, ...] = ()
    stages: tuple[StageRow, ...] = ()
    environment: dict[str, object] = Field(default_factory=dict)
    recipe: str = ""
    commands: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    layer_costs: tuple[LayerCosts, ...] = ()
    images_folder: str = ""
    changes: tuple[Changes, ...] = ()
    box_changes: tuple[BoxChanges, ...] = ()
    classes: tuple[ClassPrecision, ...] = ()
    precision: tuple[PrecisionCurve, ...] = ()
    notes: tuple[str, ...] = ()
    ship: Ship | None = None


def build_report(run_dir: Path, gates: Sequence[GateOutcome] | None = None) -> Report:
    """Return the report of a run as far as it went.

    Args:
        run_dir: the run's folder.
        gates: results of `compress.pipeline.gates.check_gates`; default what the run's last attempt wrote.

    Raises:
        StageError: the folder holds no sealed stage, or a file in it is damaged.
    """
    run = read_run(run_dir)
    results = run.gates if gates is None else gates
    return Report(
        run=run.name,
        baseline=run.baseline,
        host=run.host,
        rows=run.rows,
        siblings=run.siblings,
        gates=tuple(_gate(result, run_dir) for result in results),
        sensitivity=run.sensitivity,
        ship=file_to_ship(run.rows, run.name),
        classes=class_precision(run.rows, run.baseline),
        elsewhere=read_remote_benchmarks(run_dir),
        **vars(read_details(run_dir, run.lock, run.baseline)),
    )


def _gate(result: object, run_dir: Path) -> GateRow:
    try:
        return GateRow.model_validate(result)
    except ValidationError as error:
        raise StageError(
            f"{run_dir / GATES_NAME}: damaged ({first_fault(error)})", hint="`imgc run --resume` writes it again"
        ) from None
