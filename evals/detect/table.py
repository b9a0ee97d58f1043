"""What was measured of detectors as a block of docs/results/detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.detection import INT8
from evals.sentences.detection_rows import FLOAT, onnx_of, tflite_of

COLUMNS = (
    Column(key="file", title="file", kind="text"),
    Column(key="seeds", title="seeds", kind="count"),
    Column(key="map", title="mAP %", digits=1),
    Column(key="map50", title="AP50 %", digits=1),
    Column(key="drop", title="drop pp (95 % interval)", digits=2),
    Column(key="agreement", title="boxes as the float model's, %", digits=1),
    Column(key="runtimes", title="boxes as the ONNX file's, %", digits=1),
    Column(key="size", title="size", kind="bytes"),
    Column(key="p50", title="network, p50 ms", digits=2),
    Column(key="ratio", title="of float in its runtime", digits=2),
    Column(key="partitions", title="XNNPACK partitions", kind="count"),
)


@dataclass(frozen=True)
class Judged:
    """One file."""

    name: str
    seeds: int
    map_pct: float
    map50_pct: float
    drop_ci_pp: tuple[float, float]
    agreement_pct: float | None
    runtimes_agree_pct: float | None
    size_bytes: int
    p50_ms: float
    partitions: int | None


def detection_block(rows: Sequence[Judged], images: int, seeds: int, measured: Measured) -> Block:
    """Return the table.

    Args:
        rows: means over the seeds, the float ONNX file first.
        images: how many were asked.
        seeds: how many networks were trained.
        measured: when and where.
    """
    by_name = {row.name: row for row in rows}
    return Block(
        key=INT8,
        title="A detector's int8 files beside its float ones",
        n={"images": images, "seeds": seeds},
        setting=(
            "SSDLite on MobileNetV3-Small, 320 px, six classes, cards; validation and test images, none of which was "
            "calibrated on; means over networks of different seeds; drop against the float ONNX file, paired bootstrap "
            "over the images; boxes of a score of 0.3 and more match by class and an IoU of 0.5, those of a pruned "
            "network's int8 files with its own float one; one image, one thread, all files by turns; other tools "
            "by their documented recipe on the same images"
        ),
        measured=measured,
        columns=COLUMNS,
        rows=tuple(_row(row, by_name) for row in rows),
    )


def _row(row: Judged, by_name: dict[str, Judged]) -> dict[str, Cell]:
    before = by_name[onnx_of(FLOAT)]
    twin = by_name[tflite_of(FLOAT) if "TFLite" in row.name else onnx_of(FLOAT)]
    drop = before.map_pct - row.map_pct
    found: dict[str, Cell] = {
        "file": row.name,
        "seeds": row.seeds,
        "map": row.map_pct,
        "map50": row.map50_pct,
        "drop": (drop, *row.drop_ci_pp),
        "agreement": row.agreement_pct,
        "runtimes": row.runtimes_agree_pct,
        "size": row.size_bytes,
        "p50": row.p50_ms,
        "ratio": row.p50_ms / twin.p50_ms,
        "partitions": row.partitions,
    }
    return {key: value for key, value in found.items() if value is not None}
