"""The search beside a grid: which point of the grid counts, and what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.stage import SilentReporter
from compress.errors import UsageError
from compress.tune import schema
from compress.tune.goal import Goal, TrialResult
from compress.tune.space import Knobs
from evals.sentences.tune import tune_sentences
from evals.tune import table
from evals.tune.table import GridPoint, chosen_of, tune_block
from tests.evals.blocks import MEASURED

POINTS = (
    GridPoint("a", Path("a"), 900_000, 88.0, 100.0, test_pct=85.0),
    GridPoint("b", Path("b"), 900_000, 87.0, 200.0),
    GridPoint("too large", Path("c"), 1_000_001, 99.0, 300.0),
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
    assert chosen_of(POINTS).name == "a"
    with pytest.raises(UsageError, match="no point of the grid"):
        chosen_of(POINTS[2:])


def test_the_table_has_test_numbers_of_the_two_that_validation_chose_alone():
    found = tune_block(POINTS, report(), MEASURED)
    assert [row["model"] for row in found.rows] == ["too large", "a", "b", "imgc tune: tiny 96 px, 50 %"]
    assert [row["test_pct"] for row in found.rows] == [None, 85.0, None, 86.0]
    assert [row["fits"] for row in found.rows] == ["no", "yes", "yes", "yes"]
    assert found.n == {"validation images": 341, "test images": 372}
    first, ahead = tune_sentences(
        found.model_copy(update={"rows": (*found.rows[:3], found.rows[3] | {"val_pct": 87.5})})
    )
    assert "spent 250 s (1 settings to the end, 0 given up), the stages of the grid took 600 s" in first
    assert "+1.00 pp from the one that validation chooses of the grid (a)" in first
    assert ahead.endswith("87.50 against a 88.00."), "neither what is too large nor what is worse"


def test_the_grid_asks_the_test_images_once(monkeypatch):
    asked = []

    def top1_pct(file, images, split):
        asked.append((str(file), split))
        return {"one": 80.0, "two": 90.0}[str(file)] - (split == "test")

    points = iter([GridPoint("one", Path("one"), 9, 80.0, 1.0), GridPoint("two", Path("two"), 9, 90.0, 1.0)])
    recipes = []
    monkeypatch.setattr(table, "_GRID", table._GRID[:2])
    monkeypatch.setattr(table, "recipe_of", lambda *words: recipes.append(words[-1]))
    monkeypatch.setattr(table, "carry_out", lambda *_: None)
    monkeypatch.setattr(table, "_judged", lambda *_: next(points))
    monkeypatch.setattr(table, "top1_pct", top1_pct)
    found = table.run_grid(Path("images"), Path("weights"), Path("runs"), SilentReporter())
    assert asked == [("two", "test")]
    assert [one.test_pct for one in found] == [None, 89.0]
    assert recipes == ["val", "val"]
