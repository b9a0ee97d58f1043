"""The rows of `measure` as the table of docs/results/coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.coverage.architectures import MOST_PARAMETERS
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.coverage import FILES

_MOST_CHARACTERS = 110
COLUMNS = (
    Column(key="name", title="architecture", kind="text"),
    Column(key="exporter", title="torch's exporter", kind="text"),
    Column(key="params", title="parameters", kind="count"),
    Column(key="float", title="float TFLite", kind="text"),
    Column(key="float_partitions", title="its partitions"),
    Column(key="int8", title="int8", kind="text"),
    Column(key="int8_partitions", title="its partitions"),
    Column(key="int8_drift", title="int8 ONNX from float, share of the range", digits=3),
    Column(key="stopped", title="what stopped it", kind="text"),
)


def table(rows: Sequence[Mapping[str, Any]], measured: Measured) -> Block:
    """Return the block; architectures that are too large are left out."""
    kept = [row for row in rows if row["stopped"] != "too large"]
    return Block(
        key=FILES,
        title="Architectures of timm and torchvision through the importer",
        n={"files": len(kept), "architectures": len({row["name"] for row in kept})},
        setting=(
            f"networks of at most {MOST_PARAMETERS // 10**6} million parameters with random weights, exported by plain "
            "`torch.onnx.export` at their own input size; float: the largest difference to ONNX Runtime is at most "
            "0.1 % of the range of the answers (2 noise images); int8: calibrated on 8 noise images, no "
            "reconstruction, both runtimes differ by at most 10 % of the range"
        ),
        measured=measured,
        columns=COLUMNS,
        rows=tuple(_cells(row) for row in kept),
    )


def _cells(row: Mapping[str, Any]) -> dict[str, Cell]:
    int8 = "both" if row["onnx_int8"] and row["tflite_int8"] else "ONNX alone" if row["onnx_int8"] else "no"
    exported = row.get("exported", True)
    return {
        "name": row["name"],
        "exporter": row["exporter"],
        "params": row.get("params"),
        "float": "not exported" if not exported else "yes" if row["float"] else "no",
        "float_partitions": row.get("float_partitions"),
        "int8": int8 if exported else "not exported",
        "int8_partitions": row.get("int8_partitions"),
        "int8_drift": row.get("int8_drift"),
        "stopped": _short(row["stopped"]),
    }


def _short(text: str) -> str:
    plain = text.replace("model.onnx: ", "").split("; allowed")[0].replace("|", "/")
    return plain if len(plain) <= _MOST_CHARACTERS else f"{plain[:_MOST_CHARACTERS]}..."
