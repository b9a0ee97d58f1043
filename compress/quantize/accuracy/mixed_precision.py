"""Accuracy-aware int8: the layers that cost most stay float, as few as the constraint needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compress.core.artifact import Metrics
from compress.core.stage import Reporter
from compress.errors import StageError
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.qdq.layers import Layer

Attempt = Callable[[tuple[str, ...]], Metrics]  # node names that stay float -> how the written file answers


def float_worst(
    ranked: Sequence[Layer], attempt: Attempt, constraint: AccuracyConstraint, full: Metrics, reporter: Reporter
) -> tuple[tuple[Layer, ...], Metrics]:
    """Return the layers that stay float, the worst 1, 2, 4 ... up to half of all, and what the file is then worth.

    Args:
        ranked: layers, the dearest first.
        attempt: makes, writes and judges the model with these nodes float.
        constraint: what has to hold.
        full: what the model is worth with none of them float.
        reporter: hears of each attempt.

    Raises:
        StageError: the constraint does not hold with half of the layers float.
    """
    tried = [f"all int8: {constraint.broken_by(full)}"]
    for count in counts(len(ranked)):
        chosen = tuple(ranked[:count])
        metrics = attempt(tuple(name for layer in chosen for name in layer.nodes))
        broken = constraint.broken_by(metrics)
        reporter.info(f"{count} of {len(ranked)} layers float: {broken or f'{constraint} holds'}")
        if not broken:
            return chosen, metrics
        tried.append(f"{count} of {len(ranked)} layers float: {broken}")
    raise StageError(
        f"the constraint ({constraint}) does not hold, not even with half of the layers float:\n  "
        + "\n  ".join(tried),
        hint="allow more, give more calibration images, or train: `scheme: int8_qat`",
    )


def counts(layers: int) -> list[int]:
    """Return 1, 2, 4 ... and then half of the layers."""
    half = layers // 2
    found = [2**power for power in range(half.bit_length()) if 2**power < half]
    return [*found, half] if half else []
