"""Rows as text: one set of columns and number formats for the terminal, `report.md` and README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Row
from compress.core.dataset import Task
from compress.report.accuracy import accuracy_name, task_of
from compress.report.box_changes import BoxChanges
from compress.report.changes import Changes, ClassRecall
from compress.report.class_precision import MAX_CLASSES, ClassPrecision
from compress.report.json_report import Report
from compress.report.numbers import KIB, NOT_MEASURED, count_text, digits_text, number_text, size_text

_FILE = ("stage", "format", "precision", "size", "params", "MACs")
COLUMNS = (
    *_FILE,
    *("top-1 %", "95 % interval", "drop pp", "agree %"),
    *("p50 ms", "p95 ms", "images/s", "peak MiB"),
)
BOX_COLUMNS = (
    *_FILE,
    *("mAP %", "95 % interval", "AP50 %", "drop pp", "agree %"),
    *("p50 ms", "post ms", "images/s", "peak MiB"),
)
_COLUMNS: dict[Task, tuple[str, ...]] = {"classify": COLUMNS, "detect": BOX_COLUMNS}
LATENCY_COLUMNS = (
    "stage",
    "p50 ms",
    "95 % interval",
    "p90 ms",
    "p95 ms",
    "p99 ms",
    "calls",
    "stable",
    "CPU ms",
    "cold ms",
    "steady MiB",
    "gzipped",
    "error",
)
_ERROR_CHARACTERS = 30  # keeps the table within 160 columns; the whole text is among the warnings
RECALL_COLUMNS = ("class", "images", "before %", "after %", "change pp")
TEXT_COLUMNS = 3  # the first ones stand left, the numbers right
_SPLITS = {"val": "validation", "train": "training"}
_STABLE = {True: "yes", False: "NO", None: NOT_MEASURED}
_LIBRARIES = ("torch", "onnxruntime", "ai-edge-litert")


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the columns of these rows: `COLUMNS`, of detectors `BOX_COLUMNS`; post ms is the post-processing."""
    return _COLUMNS[task_of(rows)]


def table_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return one tuple of cells for each model, in the order of `columns`; `NOT_MEASURED` where a number is missing."""
    names = columns(rows)
    return [tuple(cells.get(name, NOT_MEASURED) for name in names) for cells in map(_cells, rows)]


def _cells(row: Row) -> dict[str, str]:
    accuracy = accuracy_of(row)
    interval = accuracy.ci95_pct
    return {
        "stage": row.stage,
        "format": row.format.value,
        "precision": row.precision.value if row.precision else NOT_MEASURED,
        "size": size_text(row.size_bytes),
        "params": count_text(row.params),
        "MACs": count_text(row.macs),
        f"{accuracy_name([row])} %": number_text(accuracy.pct, 2),
        "95 % interval": f"{interval[0]:.1f}-{interval[1]:.1f}" if interval else NOT_MEASURED,
        "AP50 %": number_text(row.map50_pct, 2),
        "drop pp": number_text(accuracy.drop_pp, 2),
        "agree %": number_text(row.agreement_pct, 2),
        "p50 ms": number_text(row.latency_p50_ms, 2),
        "p95 ms": number_text(row.latency_p95_ms, 2),
        "post ms": number_text(row.postprocess_p50_ms, 2),
        "images/s": number_text(row.throughput_ips, 0),
        "peak MiB": number_text(row.peak_rss_bytes / KIB / KIB, 0) if row.peak_rss_bytes is not None else NOT_MEASURED,
    }


def latency_cells(row: Row) -> tuple[str, ...]:
    """Return the cells of one model in the order of `LATENCY_COLUMNS`; p99 has little meaning below 1000 calls."""
    interval = row.latency_p50_ci95_ms
    return (
        row.stage,
        number_text(row.latency_p50_ms, 2),
        f"{interval[0]:.2f}-{interval[1]:.2f}" if interval else NOT_MEASURED,
        number_text(row.latency_p90_ms, 2),
        number_text(row.latency_p95_ms, 2),
        number_text(row.latency_p99_ms, 2),
        _calls_text(row),
        _STABLE[row.stable],
        number_text(row.cpu_ms, 2),
        number_text(row.cold_start_ms, 0),
        number_text(row.steady_rss_bytes / KIB / KIB, 0) if row.steady_rss_bytes is not None else NOT_MEASURED,
        size_text(row.gzip_bytes) if row.gzip_bytes is not None else NOT_MEASURED,
        shorten(row.error, _ERROR_CHARACTERS, placeholder="...") if row.error else "",
    )


def _calls_text(row: Row) -> str:
    """Return the calls that count, of all where some were left out."""
    if row.latency_calls and row.latency_left_out:
        return f"{row.latency_calls} of {row.latency_calls + row.latency_left_out}"
    return number_text(row.latency_calls, 0)


def host_text(host: Mapping[str, Any]) -> str:
    """Return one line: CPU, cores, what its int8 units are, system and library versions."""
    flags, versions = host.get("flags"), host.get("versions")  # of another machine's file: they may be anything
    flags = flags if isinstance(flags, list) else ()
    versions = versions if isinstance(versions, dict) else {}
    extras = [flag for flag in ("avx512_vnni", "avx_vnni", "avx2", "asimddp", "i8mm") if flag in flags]
    libraries = [f"{name} {versions[name]}" for name in _LIBRARIES if name in versions]
    parts = [
        f"{host.get('cpu', 'unknown CPU')} ({', '.join(extras) or 'no vector flags known'})",
        f"{host.get('cores', '?')} cores",
        str(host.get("os", "unknown system")),
        f"Python {host.get('python', '?')}",
        *libraries,
    ]
    return ", ".join(parts)


def setting_text(report: Report) -> str:
    """Return `rows_text` of a report; empty when nothing was measured."""
    return rows_text(report.rows, report.baseline)


def rows_text(rows: Sequence[Row], baseline: str | None, split: str | None = "test") -> str:
    """Return one line: images, threads and batch of the measured rows; empty when nothing was measured."""
    measured = [row for row in rows if row.n_images is not None]
    if not measured:
        return ""
    count, threads, batch = (
        "/".join(str(value) for value in sorted({getattr(row, name) for row in measured}))
        for name in ("n_images", "threads", "batch")
    )
    images = f"{_SPLITS.get(str(split), split)} images"
    return f"n = {count} {images}, {threads} thread(s), batch {batch}, baseline {baseline}"


def recall_cells(row: ClassRecall) -> tuple[str, ...]:
    """Return a class's cells in the order of `RECALL_COLUMNS`."""
    values = (row.before_pct, row.after_pct, row.change_pp)
    return (row.label, str(row.images), *(number_text(value, 2) for value in values))


def changes_line(changes: Changes, row: Row | None) -> str:
    """Return one sentence: how many answers changed, for the better and the worse, and whether chance explains it.

    Args:
        changes: of a model.
        row: the model's measurements.
    """
    count = f"{changes.changed} of {row.n_images}" if row and row.n_images is not None else str(changes.changed)
    said = f"{count} images answered otherwise: {changes.lost} right answers lost, {changes.gained} gained"
    if row is None or row.mcnemar_p is None:
        return said
    return f"{said}; so uneven a split by chance alone has p = {digits_text(row.mcnemar_p)} (exact McNemar test)"


def box_changes_line(changes: BoxChanges, row: Row | None) -> str:
    """Return one sentence: how many boxes changed, and how many were and are right; arguments as `changes_line`."""
    count = f"{changes.changed} of {row.n_images}" if row and row.n_images is not None else str(changes.changed)
    return (
        f"{count} images have other boxes: {changes.gone} of the baseline's are gone, {changes.new} are new; of"
        f" {changes.labelled} labelled boxes it finds {changes.right_after}, the baseline {changes.right_before};"
        f" where nothing is labelled it has {changes.wrong_after} boxes, the baseline {changes.wrong_before}"
    )


def classes_text(classes: Sequence[ClassPrecision]) -> str:
    """Return what the cells of a table of classes say, and whether classes are left out."""
    said = (
        "mAP (IoU 0.50:0.95) / AP50 (IoU 0.50) of each file in percent, the baseline first. The class whose mAP"
        " fell most in any file stands first."
    )
    left_out = " Other classes are left out; the rows of report.json have all."
    return said + (left_out if len(classes) == MAX_CLASSES else "")


def class_columns(classes: Sequence[ClassPrecision]) -> tuple[str, ...]:
    """Return the header of a table of classes: the files stand in the order of their cells."""
    return ("class", "drop pp", *classes[0].map_pct) if classes else ()


def class_cells(one: ClassPrecision) -> tuple[str, ...]:
    """Return a class's cells in the order of `class_columns`: its mAP and AP50 in each file."""
    worth = (f"{value:.2f} / {number_text(one.map50_pct.get(stage), 2)}" for stage, value in one.map_pct.items())
    return (one.label, number_text(one.drop_pp, 2), *worth)


def markdown_table(header: tuple[str, ...], rows: list[tuple[str, ...]], text_columns: int) -> str:
    """Return a Markdown table; all columns after the first `text_columns` stand right."""
    rule = ["---" if index < text_columns else "---:" for index in range(len(header))]
    lines = [header, tuple(rule), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
