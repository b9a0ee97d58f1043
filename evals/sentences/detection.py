"""What docs say of detectors' int8 files."""

from __future__ import annotations

from evals.results.schema import Block, Cell

INT8 = "detection-int8"
_GOALS = {"calibrated": 1.0, "trained": 0.5}  # points of mAP that int8 may cost
_AGREEMENT_PCT = 98.5
_RUNTIMES_PCT = 99.5


def detection_sentences(block: Block) -> list[str]:
    """Return whether each int8 file keeps the goals, and by how much the best other tool loses more or less."""
    if block.key != INT8:
        return []
    own = {str(row["file"]): row for row in block.rows if str(row["file"]).split(",")[0].strip() in _GOALS}
    said = [_kept(name, row) for name, row in own.items()]
    others = [row for row in block.rows if "Runtime" in str(row["file"]) or "per tensor" in str(row["file"])]
    for row in others:
        said.append(f"{row['file']}: drop {_drop(row):.2f} points, {row['agreement']:.1f} % of the boxes.")
    return said


def _kept(name: str, row: dict[str, Cell]) -> str:
    goal = _GOALS[name.split(",", maxsplit=1)[0]]
    parts = [f"drop {_drop(row):.2f} points (goal {goal:g}, {_met(_drop(row) <= goal)})"]
    agreement = _number(row["agreement"])
    parts.append(f"{agreement:.1f} % of the boxes (goal {_AGREEMENT_PCT:g}, {_met(agreement >= _AGREEMENT_PCT)})")
    if "runtimes" in row:
        same = _number(row["runtimes"])
        parts.append(f"{same:.1f} % as in ONNX Runtime (goal {_RUNTIMES_PCT:g}, {_met(same >= _RUNTIMES_PCT)})")
    return f"{name}: {', '.join(parts)}."


def _drop(row: dict[str, Cell]) -> float:
    drop = row["drop"]
    return drop[0] if isinstance(drop, tuple) else _number(drop)


def _number(cell: Cell) -> float:
    assert isinstance(cell, int | float)
    return float(cell)


def _met(holds: bool) -> str:
    return "met" if holds else "missed"
