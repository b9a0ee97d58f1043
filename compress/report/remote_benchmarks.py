"""Measurements of a run's files on other machines, kept in the run's folder under `elsewhere/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from compress.benchmark.bench_file import read_bench
from compress.benchmark.schema import Bench, Row
from compress.core.digest import sha256_json
from compress.core.formats import MODEL_FORMATS
from compress.core.storage import write_json
from compress.errors import StageError, UsageError
from compress.pipeline.lock import LockedStage, read_lock

FOLDER_NAME = "elsewhere"
_MACHINE = ("cpu", "arch", "cores")  # a host has no name; this is what tells machines apart


def add_bench(run_dir: Path, path: Path) -> Bench:
    """Keep the rows of a `bench.json` that measured files of this run, and return them.

    The same files measured again in the same setting on the same machine replace what was kept of them.

    Raises:
        UsageError: the file is no bench.json, or none of its rows has the SHA-256 of one of the run's models.
        StageError: the run has no sealed stage.
    """
    bench, models = read_bench(path), _models(run_dir)
    found = _of_run(bench, models)
    if found is None:
        measured = ", ".join(f"{row.stage} {row.sha256[:12]}" for row in bench.rows) or "nothing"
        own = ", ".join(f"{stage.id} {sha[:12]}" for sha, stage in models.items())
        raise UsageError(
            f"{path}: measured no file of the run '{run_dir.name}': it has {measured}; the run has {own} (SHA-256)",
            hint="`imgc bundle RUN` packs the run's files to be measured elsewhere; add the result to that run",
        )
    write_json(run_dir / FOLDER_NAME / _file_name(found), found.model_dump(mode="json"))
    return found


def read_remote_benchmarks(run_dir: Path) -> tuple[Bench, ...]:
    """Return what was added, by machine; rows whose stage was made anew since are left out.

    Raises:
        StageError: the run has no sealed stage, or a file is damaged.
    """
    models = _models(run_dir)
    benches = []
    for path in sorted((run_dir / FOLDER_NAME).glob("*.json")):
        try:
            benches.append(_of_run(read_bench(path), models))
        except UsageError as error:
            raise StageError(error.message, hint=f"remove it, and add the measurement again: {path}") from error
    return tuple(bench for bench in benches if bench is not None)


def _models(run_dir: Path) -> dict[str, LockedStage]:
    """Return SHA-256 -> stage of the run's models; of equal files the first."""
    lock = read_lock(run_dir)
    if lock is None or not lock.stages:
        raise StageError(f"{run_dir}: nothing is done, so nothing can be added", hint="`imgc run RECIPE` makes a run")
    stages = [stage for stage in reversed(lock.stages) if stage.artifact.format in MODEL_FORMATS]
    return {stage.artifact.sha256: stage for stage in stages}


def _of_run(bench: Bench, models: Mapping[str, LockedStage]) -> Bench | None:
    """Return the rows that measured the run's models, under the run's names; None when there are none."""
    rows = [_named(row, models[row.sha256]) for row in bench.rows if row.sha256 in models]
    if not rows:
        return None
    names = {row.stage: models[row.sha256].id for row in bench.rows if row.sha256 in models}
    return bench.model_copy(
        update={"rows": tuple(rows), "baseline": names.get(bench.baseline, bench.baseline), "failed": ()}
    )


def _named(row: Row, stage: LockedStage) -> Row:
    return row.model_copy(update={"stage": stage.id, "path": stage.artifact.path.as_posix()})


def _file_name(bench: Bench) -> str:
    machine = {key: bench.host.get(key) for key in _MACHINE}
    measured = sorted((row.sha256, str(row.threads), str(row.batch)) for row in bench.rows)
    words = re.sub(r"[^a-z0-9]+", "-", str(machine["cpu"]).lower()).strip("-")[:40]
    return f"{words}-{sha256_json([machine, measured])[:12]}.json"
