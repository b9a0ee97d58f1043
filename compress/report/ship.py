"""Which file of a run to ship, what is known of it, and what to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Row
from compress.core.dataset import Task
from compress.core.fact import Fact
from compress.core.formats import Format, Precision
from compress.report.accuracy import accuracy_title
from compress.report.numbers import number_text, size_text

_SHIPPED = (Format.TFLITE, Format.ONNX)  # a runtime alone opens them
_FLOAT = (Precision.FP32, Precision.FP16)


class Ship(Fact):
    """The file to ship.

    Attributes:
        stage: that made it.
        path: from the folder that holds `runs/`.
        facts: sentences on its size, accuracy and speed.
        commands: what answers with it, serves it, and runs it elsewhere.
    """

    stage: str
    path: str
    facts: tuple[str, ...]
    commands: tuple[str, ...]


def file_to_ship(rows: Sequence[Row], run: str) -> Ship | None:
    """Return the newest int8 TFLite file, else the newest TFLite, int8 ONNX, ONNX file; None where there is none."""
    files = [row for row in reversed(rows) if row.format in _SHIPPED]
    if not files:
        return None
    best = max(files, key=lambda row: (row.format is Format.TFLITE, row.precision is Precision.INT8))  # first of equals
    path = f"runs/{run}/{best.path}"
    return Ship(
        stage=best.stage,
        path=path,
        facts=tuple(_facts(best, float_twin(best, rows))),
        commands=(
            f"imgc predict IMAGE --model {path}",
            f"imgc serve {path}",
            snippet_command(PurePosixPath(path), best.format, best.task),
        ),
    )


def snippet_command(path: PurePath, fmt: Format, task: Task) -> str:
    """Return what writes a program beside a file that runs it."""
    language = "raspberry-pi" if fmt is Format.TFLITE else "python"
    return f"imgc snippet {path} --for {language} --out {path.with_name(f'{task}.py')}"


def float_twin(row: Row, rows: Sequence[Row]) -> Row | None:
    """Return the newest measured float file of the same runtime and setting, the only fair one to be faster than."""
    for other in reversed(rows):
        same = (other.format, other.threads, other.batch) == (row.format, row.threads, row.batch)
        if other is not row and same and other.precision in _FLOAT and other.latency_p50_ms is not None:
            return other
    return None


def _facts(row: Row, twin: Row | None) -> list[str]:
    precision = row.precision.value if row.precision else "precision not known"
    facts = [f"{row.stage}: {precision} {row.format.value}, {size_text(row.size_bytes)}."]
    if (said := _accuracy(row)) is not None:
        facts.append(said)
    if row.latency_p50_ms is not None:
        facts.append(f"{_speed(row, twin)}.")
    return facts


def _accuracy(row: Row) -> str | None:
    found = accuracy_of(row)
    if found.pct is None or found.ci95_pct is None:
        return None
    low, high = found.ci95_pct
    text = f"{accuracy_title([row])} {found.pct:.2f} % on {row.n_images} images (95 % interval {low:.1f} to {high:.1f})"
    if found.drop_pp is not None:
        side = "below" if found.drop_pp >= 0 else "above"
        text += f", {number_text(abs(found.drop_pp), 2)} points {side} the baseline"
    return f"{text}."


def _speed(row: Row, twin: Row | None) -> str:
    assert row.latency_p50_ms is not None
    took = f"Median of one call {row.latency_p50_ms:.2f} ms"
    if row.precision in _FLOAT:
        return took
    if twin is None or twin.latency_p50_ms is None:
        return f"{took}; no float file of the same runtime was measured beside it"
    return f"{took}; in float ({twin.stage}), in the same runtime, {twin.latency_p50_ms:.2f} ms"
