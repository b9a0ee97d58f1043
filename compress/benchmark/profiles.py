"""What each operator of the measured models takes, for their rows."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.measure import OpenedModel
from compress.benchmark.schema import Bench, OpTime
from compress.core.stage import Reporter
from compress.measure.op_cost import OpCost
from compress.measure.profile import profile


def with_profiles(bench: Bench, candidates: Sequence[OpenedModel], reporter: Reporter) -> Bench:
    """Return the measurements with `ops` in the rows of ONNX and TFLite files.

    A model that cannot be profiled, as a torch model, keeps its numbers, and the reason is among the warnings.
    """
    ops: dict[str, tuple[OpTime, ...]] = {}
    warnings = []
    with reporter.progress("profile", len(candidates)) as advance:
        for one in candidates:
            try:
                costs = profile(one.predictor)
            except Exception as error:
                warnings.append(f"{one.name}: its operators could not be timed: {error}")
            else:
                if costs is None:
                    warnings.append(f"{one.name}: a torch model is not profiled; export it")
                else:
                    ops[one.name] = _shares(costs)
            advance(1, one.name)
    for text in warnings:
        reporter.warn(text)
    rows = tuple(row.model_copy(update={"ops": ops.get(row.stage, ())}) for row in bench.rows)
    return bench.model_copy(update={"rows": rows, "warnings": (*bench.warnings, *warnings)})


def _shares(costs: Sequence[OpCost]) -> tuple[OpTime, ...]:
    total_ms = sum(one.ms for one in costs)
    return tuple(
        OpTime(
            name=one.name,
            op=one.op,
            ms=one.ms,
            share_pct=100.0 * one.ms / total_ms if total_ms else 0.0,
            delegated=one.delegated,
        )
        for one in costs
    )
