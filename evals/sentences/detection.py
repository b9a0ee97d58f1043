"""What docs say of detectors' int8 and pruned files."""

from __future__ import annotations

from evals.results.schema import Block, Cell
from evals.sentences.detection_rows import OTHERS, PRUNED, SIBLING, SMALL, onnx_of, tflite_of

INT8 = "detection-int8"
_GOALS = {"calibrated": 1.0, "trained": 0.5}  # points of mAP that int8 may cost
_AGREEMENT_PCT = 98.5
_RUNTIMES_PCT = 99.5
_PRUNED_PP = 2.5
_RATIOS = {"ONNX": 0.80, "TFLite": 0.61}  # of int8 to float, by runtime


def detection_sentences(block: Block) -> list[str]:
    """Return whether each file keeps its goals, and what the other tools lose."""
    if block.key != INT8:
        return []
    rows = {str(row["file"]): row for row in block.rows}
    said = [_int8(name, rows[name]) for own in _GOALS for name in (onnx_of(own), tflite_of(own)) if name in rows]
    if onnx_of(PRUNED) in rows:
        said.append(_pruned(rows))
    if onnx_of(SMALL) in rows:
        said.append(f"{onnx_of(SMALL)}: drop {_drop(rows[onnx_of(SMALL)]):.2f} points from the float network unpruned.")
    for name in OTHERS.values():
        if name in rows:
            said.append(f"{name}: drop {_drop(rows[name]):.2f} points, {rows[name]['agreement']:.1f} % of the boxes.")
    return said


def _int8(name: str, row: dict[str, Cell]) -> str:
    own, _, runtime = name.partition(", ")
    goal, ratio = _GOALS[own], _RATIOS[runtime]
    parts = [f"drop {_drop(row):.2f} points (goal {goal:g}, {_met(_drop(row) <= goal)})"]
    agreement = _number(row["agreement"])
    parts.append(f"{agreement:.1f} % of the boxes (goal {_AGREEMENT_PCT:g}, {_met(agreement >= _AGREEMENT_PCT)})")
    if "runtimes" in row:
        same = _number(row["runtimes"])
        parts.append(f"{same:.1f} % as in ONNX Runtime (goal {_RUNTIMES_PCT:g}, {_met(same >= _RUNTIMES_PCT)})")
    time = _number(row["ratio"])
    parts.append(f"{time:.2f} of the float file's time (goal {ratio:g}, {_met(time <= ratio)})")
    return f"{name}: {', '.join(parts)}."


def _pruned(rows: dict[str, dict[str, Cell]]) -> str:
    lost = _drop(rows[onnx_of(PRUNED)])
    said = f"{PRUNED}: drop {lost:.2f} points (goal {_PRUNED_PP:g}, {_met(lost <= _PRUNED_PP)})"
    if onnx_of(SIBLING) not in rows:
        return f"{said}."
    stock = _drop(rows[onnx_of(SIBLING)])
    met = _met(stock > lost)
    return f"{said}; the stock network as narrow, taught as long by the same teacher: {stock:.2f} (goal: more, {met})."


def _drop(row: dict[str, Cell]) -> float:
    drop = row["drop"]
    return drop[0] if isinstance(drop, tuple) else _number(drop)


def _number(cell: Cell) -> float:
    assert isinstance(cell, int | float)
    return float(cell)


def _met(holds: bool) -> str:
    return "met" if holds else "missed"
