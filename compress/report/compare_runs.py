"""Two runs side by side, by the rules of `compress.benchmark.compare`; rows are matched by stage."""

from __future__ import annotations

from pathlib import Path

from compress.benchmark.bench_file import read_answers
from compress.benchmark.compare import Comparison, compare
from compress.benchmark.schema import Answers, Bench
from compress.core.formats import Format
from compress.pipeline.lock import read_lock
from compress.report.json_report import Report, build_report


def compare_runs(old_dir: Path, new_dir: Path) -> Comparison:
    """Return what changed from one run to another: sizes, accuracy, latency and memory.

    Raises:
        StageError: a folder holds no sealed stage, or a file in it is damaged.
    """
    old, new = build_report(old_dir), build_report(new_dir)
    return compare(_as_bench(old), _as_bench(new), answers=(_answers(old_dir), _answers(new_dir)))


def _as_bench(report: Report) -> Bench:
    return Bench(host=report.host, baseline=report.baseline or "", rows=report.rows)


def _answers(run_dir: Path) -> Answers | None:
    """Return what the run's newest benchmark was answered."""
    lock = read_lock(run_dir)
    benches = [stage for stage in lock.stages if stage.artifact.format is Format.BENCH] if lock else []
    return read_answers(run_dir / benches[-1].artifact.path) if benches else None
