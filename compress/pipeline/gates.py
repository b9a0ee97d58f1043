"""Gates: bounds on a run's numbers, checked when everything else is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from compress.core.formats import Format
from compress.errors import GateError, StageError
from compress.pipeline.lock import LockedStage, RunLock
from compress.recipe.schema import Gate

GATES_NAME = "gates.json"


class GateOutcome(TypedDict):
    """A gate and what was found; `value` None: not measured."""

    metric: str
    at: str
    limit: float
    value: float | None
    passed: bool


def check_gates(gates: Sequence[Gate], lock: RunLock, run_dir: Path) -> list[GateOutcome]:
    """Return one result for each bound: `{"metric", "at", "limit", "value", "passed"}`.

    Values come from the newest benchmark that has a row for the stage; sizes are known without one. A value that
    nothing measured is None and does not pass.
    """
    rows = _benchmark_rows(lock, run_dir)
    results = []
    for gate in gates:
        value = _value(gate, lock, rows)
        if gate.min is not None:
            results.append(_result(gate, gate.min, value, value is not None and value >= gate.min))
        if gate.max is not None:
            results.append(_result(gate, gate.max, value, value is not None and value <= gate.max))
    return results


def require_gates(results: Sequence[GateOutcome]) -> None:
    """Raise when a gate does not hold.

    Raises:
        GateError: with the numbers of every broken gate.
    """
    broken = [result for result in results if not result["passed"]]
    if broken:
        lines = [
            f"gate broken: {gate['metric']} at {gate['at']} is {_number(gate['value'])}, limit {gate['limit']:g}"
            for gate in broken
        ]
        raise GateError("\n".join(lines), hint="everything was written: `imgc report` shows the whole table")


def _result(gate: Gate, limit: float, value: float | None, passed: bool) -> GateOutcome:
    return {"metric": gate.metric, "at": gate.at, "limit": limit, "value": value, "passed": passed}


def _value(gate: Gate, lock: RunLock, rows: Mapping[str, Mapping[str, object]]) -> float | None:
    if gate.baseline is not None:  # of a drop alone
        accuracy = gate.metric.replace("_drop_pp", "_pct")
        before = _number_in(rows.get(gate.baseline, {}), accuracy)
        after = _number_in(rows.get(gate.at, {}), accuracy)
        return None if before is None or after is None else before - after
    value = _number_in(rows.get(gate.at, {}), gate.metric)
    if value is not None:
        return value
    stage = lock.find(gate.at)
    return None if stage is None else _number_in(_own_metrics(stage), gate.metric)


def _own_metrics(stage: LockedStage) -> dict[str, object]:
    artifact = stage.artifact
    facts: dict[str, object] = {"size_bytes": artifact.size_bytes}
    if artifact.spec is not None:
        facts |= {"params": artifact.spec.params, "macs": artifact.spec.macs}
    return facts


def _benchmark_rows(lock: RunLock, run_dir: Path) -> dict[str, dict[str, object]]:
    """Return stage id -> row over all benchmarks of the run; a later benchmark wins."""
    rows: dict[str, dict[str, object]] = {}
    for stage in lock.stages:
        if stage.artifact.format is Format.BENCH:
            path = run_dir / stage.artifact.path
            try:
                rows |= {str(row["stage"]): row for row in json.loads(path.read_bytes())["rows"]}
            except (ValueError, KeyError, TypeError) as error:
                raise StageError(f"{path}: not a benchmark's result ({type(error).__name__}: {error})") from None
    return rows


def _number_in(facts: Mapping[str, object], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:g}"
