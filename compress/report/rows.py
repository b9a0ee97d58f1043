"""A run's folder -> rows: what the lock says was made, and what the benchmarks measured of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compress.benchmark.schema import Bench, Row
from compress.core.formats import MODEL_FORMATS, Format
from compress.errors import StageError
from compress.pipeline.gates import GATES_NAME
from compress.pipeline.lock import LockedStage, RunLock, read_lock
from compress.pipeline.run_dir import ENVIRONMENT_NAME
from compress.report.siblings import SiblingRow, sibling_rows

_SENSITIVITY = "sensitivity.*"  # JSON and SVG
_COMPARED = ("top1_drop_pp", "map_drop_pp", "map_drop_ci95_pp", "agreement_pct")  # with a baseline


@dataclass(frozen=True)
class RunFacts:
    """What a run's folder tells.

    Attributes:
        name: name of the run.
        baseline: the newest benchmark's baseline; None before one.
        host: the machine that measured, else the one that ran.
        rows: one for each model, in run order; then model files from elsewhere that were measured beside them.
        siblings: each pruned model against its stock narrower sibling.
        gates: the gate results that the run wrote; empty when it did not come so far.
        sensitivity: files in which stages say what each layer or group costs; relative to the run.
        lock: the sealed stages.
    """

    name: str
    baseline: str | None
    host: dict[str, Any]
    rows: tuple[Row, ...]
    siblings: tuple[SiblingRow, ...]
    gates: tuple[dict[str, Any], ...]
    sensitivity: tuple[str, ...]
    lock: RunLock


def read_run(run_dir: Path) -> RunFacts:
    """Return the facts of a run as far as it went.

    Raises:
        StageError: the folder holds no sealed stage, or a file in it is damaged.
    """
    lock = read_lock(run_dir)
    if lock is None or not lock.stages:
        raise StageError(f"{run_dir}: nothing to report, no stage is done", hint="`imgc run RECIPE` makes a run")
    benches = _benches(run_dir, lock)
    newest = benches[-1] if benches else None
    rows = tuple(_rows(lock, _measured(benches)))
    return RunFacts(
        name=lock.name,
        baseline=newest.baseline if newest else None,
        host=newest.host if newest else read_json(run_dir / ENVIRONMENT_NAME, {}),
        rows=rows,
        siblings=sibling_rows(lock, rows),
        gates=tuple(read_json(run_dir / GATES_NAME, [])),
        sensitivity=tuple(_sensitivity(run_dir, lock)),
        lock=lock,
    )


def _sensitivity(run_dir: Path, lock: RunLock) -> Iterator[str]:
    for stage in lock.stages:
        folder = stage.artifact.path.parent
        yield from (str(folder / path.name) for path in sorted((run_dir / folder).glob(_SENSITIVITY)))


def _benches(run_dir: Path, lock: RunLock) -> list[Bench]:
    """Return the run's benchmarks, oldest first."""
    paths = [run_dir / stage.artifact.path for stage in lock.stages if stage.artifact.format is Format.BENCH]
    benches = []
    for path in paths:
        try:
            benches.append(Bench.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise StageError(
                f"{path}: not a readable benchmark ({_first_line(error)})", hint="`imgc benchmark` measures again"
            ) from error
    return benches


def _measured(benches: list[Bench]) -> dict[str, Row]:
    """Return stage id -> row; a later benchmark wins. Comparisons with another baseline than its are left out."""
    rows: dict[str, Row] = {}
    for bench in benches:
        same = bench.baseline == benches[-1].baseline
        blank = {} if same else dict.fromkeys(_COMPARED)
        rows |= {row.stage: row.model_copy(update=blank) for row in bench.rows}
    return rows


def _rows(lock: RunLock, measured: dict[str, Row]) -> Iterable[Row]:
    models = [stage for stage in lock.stages if stage.artifact.format in MODEL_FORMATS]
    for stage in models:
        row = measured.get(stage.id)
        if row is None or row.sha256 != stage.artifact.sha256:  # measured before the stage was made anew
            row = _unmeasured(stage)
        yield row.model_copy(update={"path": stage.artifact.path.as_posix()})
    ids = {stage.id for stage in models}
    yield from (row for name, row in measured.items() if name not in ids)


def _unmeasured(stage: LockedStage) -> Row:
    artifact = stage.artifact
    spec = artifact.spec
    return Row(
        stage=stage.id,
        format=artifact.format,
        precision=spec.precision if spec else None,
        path=artifact.path.as_posix(),
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        params=(spec.params or None) if spec else None,
        macs=(spec.macs or None) if spec else None,
        task=spec.task if spec else "classify",
    )


def read_json(path: Path, default: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON file's value, of `default`'s type, or `default` where there is no file.

    Raises:
        StageError: the file is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, type(default)):
        raise _damaged(path, f"found {type(found).__name__}, not {type(default).__name__}")
    return found


def _damaged(path: Path, reason: str) -> StageError:
    return StageError(f"{path}: damaged ({reason})", hint="`imgc run --resume` writes it again")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
