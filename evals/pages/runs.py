"""The tables of runs: `python -m evals.pages.runs RUNS` writes docs/results/runs from the runs that exist."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from compress.benchmark.schema import Row
from compress.core.formats import Format
from compress.errors import ImgcError, StageError, UsageError
from compress.pipeline.lock import LOCK_NAME, LockedStage, read_lock
from compress.pipeline.run_dir import RESOLVED_NAME
from compress.report.json_report import Report, build_report
from compress.report.table import setting_text
from evals.pages.pages import publish
from evals.results.provenance import measured_then
from evals.results.schema import Block, Cell, Column

COLUMNS = (
    Column(key="stage", title="stage", kind="text"),
    Column(key="format", title="format", kind="text"),
    Column(key="precision", title="precision", kind="text"),
    Column(key="size_bytes", title="size", kind="bytes"),
    Column(key="params", title="params", kind="count"),
    Column(key="macs", title="MACs", kind="count"),
    Column(key="top1_pct", title="top-1 %", digits=2),
    Column(key="top1_ci95_pct", title="95 % interval", digits=1),
    Column(key="top1_drop_pp", title="drop pp", digits=2),
    Column(key="agreement_pct", title="agree %", digits=2),
    Column(key="latency_p50_ms", title="p50 ms", digits=2),
    Column(key="latency_p95_ms", title="p95 ms", digits=2),
    Column(key="throughput_ips", title="images/s"),
    Column(key="peak_mib", title="peak MiB"),
)
_MIB = 1 << 20
_CALL_ALONE = 4  # version of the benchmark stage whose latency is the runtime's call alone


def runs_block(run_dir: Path) -> Block:
    """Return the table of a run: one row for each model, as its benchmark left them.

    Raises:
        StageError: the folder holds no sealed stage, or was never benchmarked.
    """
    report = build_report(run_dir)
    setting, benchmark = setting_text(report), _benchmark(run_dir)
    if not setting or benchmark is None:
        raise StageError(f"{run_dir}: has no benchmark to show", hint="`imgc benchmark` measures the run")
    counted = max(row.n_images or 0 for row in report.rows)
    version = benchmark.key_parts.get("version", 0)
    return Block(
        key=report.run,
        title=f"`{report.run}`",
        n={"test images": counted},
        setting=", ".join(part for part in (_timing(report), f"seed {_seed(run_dir)}", _gates(report)) if part),
        measured=measured_then(
            run_dir / benchmark.artifact.path,
            report.host,
            "call" if int(version) >= _CALL_ALONE else "call and conversion",
        ),
        columns=COLUMNS,
        rows=tuple(_cells(row) for row in report.rows),
    )


def benchmarked_runs(runs_dir: Path) -> list[Path]:
    """Return the folders of all runs that were benchmarked, by name.

    Raises:
        UsageError: there is none.
    """
    folders = sorted(path.parent for path in runs_dir.glob(f"*/{LOCK_NAME}") if not path.parent.is_symlink())
    found = [folder for folder in folders if setting_text(build_report(folder))]
    if not found:
        raise UsageError(f"{runs_dir}: holds no benchmarked run", hint="`make demo` makes one")
    return found


def _benchmark(run_dir: Path) -> LockedStage | None:
    lock = read_lock(run_dir)
    found = [stage for stage in lock.stages if stage.artifact.format is Format.BENCH] if lock else []
    return found[-1] if found else None


def _cells(row: Row) -> dict[str, Cell]:
    texts: dict[str, Cell] = {
        "stage": row.stage,
        "format": row.format.value,
        "precision": row.precision.value if row.precision else None,
        "peak_mib": None if row.peak_rss_bytes is None else row.peak_rss_bytes / _MIB,
    }
    return texts | {column.key: getattr(row, column.key) for column in COLUMNS if column.key not in texts}


def _timing(report: Report) -> str:
    measured = [row for row in report.rows if row.n_images is not None]
    threads, batch = (
        "/".join(str(value) for value in sorted({getattr(row, name) for row in measured}))
        for name in ("threads", "batch")
    )
    return f"{threads} thread(s), batch {batch}, baseline {report.baseline}"


def _seed(run_dir: Path) -> int:
    return int(yaml.safe_load((run_dir / RESOLVED_NAME).read_text(encoding="utf-8"))["seed"])


def _gates(report: Report) -> str:
    held = sum(gate.passed for gate in report.gates)
    return f"{held} of {len(report.gates)} gates hold" if report.gates else ""


def _main(runs_dir: Path) -> None:
    publish("runs", tuple(runs_block(folder) for folder in benchmarked_runs(runs_dir)))


if __name__ == "__main__":
    try:
        _main(Path(sys.argv[1]))
    except ImgcError as error:
        sys.exit(f"{error.message}\n{error.hint}")
