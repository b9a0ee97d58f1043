"""Tables of what a quantize stage found out beside its model: the cost of each layer, and the candidates."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.cli.output import echo, print_table, size_text
from compress.cli.run_files import short_path
from compress.quantize.accuracy.accuracy_constraint import METRIC_NAMES
from compress.quantize.config import QuantizeConfig

PLAN_FILE = "plan.json"
SENSITIVITY_FILES = ("sensitivity.json", "sensitivity.svg")


def show_quantized(config: QuantizeConfig, given: Collection[str], folder: Path) -> None:
    """Print what a quantize stage wrote beside its model, whatever it was asked for."""
    show_sensitivity(folder)
    show_plan(folder)


def show_sensitivity(folder: Path) -> None:
    """Print the ranked layers of a stage's folder, if it has measured them."""
    found = _read(folder / SENSITIVITY_FILES[0])
    if found is None:
        return
    metric = "map" if "float_map_pct" in found else "top1"
    labelled = found[f"float_{metric}_pct"] is not None
    name, shares = METRIC_NAMES[metric], ["agreement_pct", *([f"{metric}_pct"] if labelled else [])]
    columns = ["rank", "layer", "ops", "KL", "SQNR dB", "agreement %", *([f"{name} %"] if labelled else [])]
    rows = [
        [rank, layer["layer"], layer["ops"], f"{layer['kl']:.2e}", f"{layer['sqnr_db']:.1f}", *_texts(layer, shares)]
        for rank, layer in enumerate(found["layers"], 1)
    ]
    title = f"each layer alone int8, all else float, on {found['images']} {found['judged_on']}"
    if labelled:
        title += f" (float {name} {found[f'float_{metric}_pct']:.2f} %)"
    print_table(title, columns, rows, left=3)
    echo(" ".join(str(short_path(folder / name)) for name in SENSITIVITY_FILES if (folder / name).is_file()))


def show_plan(folder: Path) -> None:
    """Print the candidates of `scheme: auto`, and which was chosen and why, if a stage's folder has them."""
    found = _read(folder / PLAN_FILE)
    if found is None:
        return
    known = [key for key in METRIC_NAMES if any(f"{key}_pct" in one["metrics"] for one in found["candidates"])]
    columns = [
        "candidate",
        *(f"{METRIC_NAMES[key]} %" for key in known),
        "agreement %",
        "p50 ms",
        "size",
        "partitions",
        "refused",
    ]
    rows = [
        [
            ("* " if one["name"] == found["chosen"] else "  ") + one["name"],
            *_texts(one["metrics"], [*(f"{key}_pct" for key in known), "agreement_pct"]),
            f"{one['p50_ms']:.3f}",
            size_text(one["size_bytes"]),
            one["partitions"],
            one["refused"],
        ]
        for one in found["candidates"]
    ]
    print_table(f"candidates for {found['target']}, on {found['judged_on']}, batch 1, 1 thread", columns, rows)
    echo(f"chosen: {found['why']}")
    echo(str(short_path(folder / PLAN_FILE)))


def _texts(numbers: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    return [f"{numbers[key]:.2f}" for key in keys]


def _read(path: Path) -> dict[str, Any] | None:
    found: dict[str, Any] | None = json.loads(path.read_text()) if path.is_file() else None
    return found
