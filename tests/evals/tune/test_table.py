"""The search beside a grid: which point of the grid counts, and what the table says."""

from __future__ import annotations

import pytest

from compress.errors import UsageError
from compress.tune import schema
from compress.tune.goal import Goal, TrialResult
from compress.tune.space import Knobs
from evals.tune.table import BEGIN, GridPoint, as_markdown, best_within

POINTS = (
    GridPoint("a", 900_000, 88.0, 85.0, 100.0),
    GridPoint("b", 900_000, 87.0, 86.5, 200.0),
    GridPoint("too large", 1_000_001, 99.0, 99.0, 300.0),
)


def report() -> schema.TuneReport:
    point = TrialResult(name="t-1", n_images=341, top1_pct=88.5, drop_pp=0.0, size_bytes=950_000, latency_ms=1.0)
    found = schema.TriedSetting(knobs=Knobs(arch="tiny", input_px=96), share=0.5, point=point, misses={}, pareto=True)
    return schema.TuneReport(
        name="t",
        goal=Goal(max_size_bytes=1_000_000),
        runtime="tflite",
        device=None,
        estimated=False,
        host={},
        spent_s=250.0,
        tried=(found,),
        given_up=(),
        chosen="t-1",
        reason="",
        test=schema.Tested(
            **{"n_images": 372, "top1_pct": 86.0, "top1_ci95_pct": (82.0, 89.0), "float_top1_pct": 86.0},
            **{"drop_pp": 0.0, "size_bytes": 950_000, "latency_ms": 1.0},
        ),
    )


def test_what_is_too_large_does_not_count():
    chosen, best = best_within(POINTS)
    assert (chosen.name, best.name) == ("a", "b")
    with pytest.raises(UsageError, match="no point of the grid"):
        best_within(POINTS[2:])


def test_the_table_compares_on_the_test_images_with_both():
    block = as_markdown(POINTS, report())
    assert block.startswith(BEGIN)
    assert "+1.00 pp from the grid's that validation chooses (a), -0.50 pp from the one of the greatest test" in block
    assert "spent 250 s" in block
    assert "took 600 s" in block
    assert "**imgc tune**: tiny 96 px, 50 %" in block
