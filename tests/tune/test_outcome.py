"""The end of a search: what is chosen and why, that it is tested once on the test images, and what is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from compress.core.stage import SilentReporter
from compress.tune import outcome as module
from compress.tune.goal import Goal, TrialResult
from compress.tune.outcome import SearchRequest, conclude
from compress.tune.space import Base, Knobs
from compress.tune.study import Study, open_study
from compress.tune.trial import TrialContext
from tests.tune.finished_chain import box_row, finished, row

BASE = Base({"kind": "folder", "path": "photos"}, {"tiny": "none"}, "onnx", None, 0, 6, 96)


@pytest.fixture
def asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Return the recipes that are carried out; each ends with 88 % on the test images."""
    recipes: list[dict] = []

    def carry_out(recipe, context, watch):
        recipes.append(recipe)
        return finished(tmp_path / recipe["name"], row("final", top1_pct=88.0, top1_drop_pp=3.0))

    monkeypatch.setattr(module, "carry_out", carry_out)
    return recipes


def study_of(tmp_path: Path, *points: tuple[int, float, int]) -> Study:
    """Return a study with points: side of the image, top-1, size."""
    found = open_study(f"sqlite:///{tmp_path / 'study.db'}", "s", "me", ("tiny",), 0, {})
    for px, top1, size in points:
        point = TrialResult(name=f"s-{px}", n_images=100, top1_pct=top1, drop_pp=1.0, size_bytes=size, latency_ms=1.0)
        found.finish(found.ask(Knobs(arch="tiny", input_px=px)), 0.5, point, {})
    return found


def asked(tmp_path: Path, goal: Goal, base: Base = BASE) -> SearchRequest:
    return SearchRequest(goal, base, TrialContext(tmp_path, "s", "cpu", None, SilentReporter()), None)


@pytest.mark.slow
def test_the_chosen_one_is_tested_once_and_written_with_its_recipe(tmp_path, asked_for) -> None:
    study = study_of(tmp_path, (96, 80.0, 900), (128, 85.0, 1000), (160, 95.0, 2000))
    report = conclude(study, asked(tmp_path, Goal(max_size_bytes=1000)), tmp_path / "out")
    assert report.chosen == "s-128"
    (recipe,) = asked_for
    assert recipe["stages"][-1]["split"] == "test"
    assert recipe["stages"][0]["input_px"] == 128
    assert report.test is not None
    assert (report.test.top1_pct, report.test.float_top1_pct, report.test.drop_pp) == (88.0, 91.0, 3.0)
    assert report.file == str(tmp_path / "s" / "02-final" / "model.onnx")
    assert "among 1 models whose top-1 lies within one standard error (3.57 pp) of the greatest" in report.reason
    assert "85.00 % of 100 validation images; 2 models are within the goal, of 3 tried" in report.reason
    assert {one.point.name: one.misses for one in report.tried}["s-160"] == {"max_size_bytes": 2000}
    assert json.loads((tmp_path / "out/tune.json").read_text()) == report.model_dump(mode="json")
    text = (tmp_path / "out/recipe.yaml").read_text()
    assert "top-1 85.00 %" in text
    assert "88" not in text, "the test images are not in what the choice is explained by"
    assert yaml.safe_load(text) == recipe


@pytest.mark.slow
def test_an_impossible_goal_tests_nothing_and_names_the_nearest(tmp_path, asked_for) -> None:
    report = conclude(study_of(tmp_path, (96, 80.0, 900)), asked(tmp_path, Goal(max_size_bytes=500)), tmp_path / "out")
    assert asked_for == []
    assert (report.chosen, report.test, report.file, report.run) == (None, None, None, None)
    assert report.reason.startswith("none of 1 models is within the goal; the nearest is s-96: max_size_bytes 900")
    (way,) = report.ways_out
    assert (way.limit, way.allowed, way.needed, way.run) == ("max_size_bytes", 500, 900, "s-96")
    assert not (tmp_path / "out/recipe.yaml").exists()


def test_nothing_tried_says_to_give_more_time(tmp_path, asked_for) -> None:
    report = conclude(study_of(tmp_path), asked(tmp_path, Goal()), tmp_path / "out")
    assert report.reason == "nothing was tried to the end: give more --budget"
    assert asked_for == []


@pytest.mark.slow
def test_a_detector_is_chosen_tested_and_told_by_its_map(tmp_path, monkeypatch) -> None:
    arch = "ssdlite_mobilenet_v3_small"
    base = Base({"kind": "coco", "path": "boxes"}, {arch: "none"}, "onnx", None, 0, 6, 96, "detect")
    study = open_study(f"sqlite:///{tmp_path / 'study.db'}", "s", "me", (arch,), 0, {}, "detect")
    judged = {"n_images": 100, "map_pct": 55.0, "map_ci95_pct": (49.12, 60.88), "drop_pp": 1.0}
    point = TrialResult(name="s-320", size_bytes=900, latency_ms=1.0, **judged)
    study.finish(study.ask(Knobs(arch=arch, input_px=320)), 0.5, point, {})
    final = box_row("final", map_pct=52.0, map_ci95_pct=(48.0, 56.0), map_drop_pp=8.0)
    chain = finished(tmp_path / "s", final, box_row("train"))
    monkeypatch.setattr(module, "carry_out", lambda *_: chain)
    report = conclude(study, asked(tmp_path, Goal(), base), tmp_path / "out")
    assert (report.task, report.chosen) == ("detect", "s-320")
    assert report.test is not None
    assert report.test.accuracy == (52.0, (48.0, 56.0), 60.0)
    assert (report.test.drop_pp, report.test.top1_pct) == (8.0, None)
    assert "models whose mAP lies within one standard error (3.00 pp) of the greatest, 55.00 % of 100" in report.reason
    written = json.loads((tmp_path / "out/tune.json").read_text())
    assert (written["test"]["map_pct"], written["tried"][0]["point"]["map_pct"]) == (52.0, 55.0)
    text = (tmp_path / "out/recipe.yaml").read_text()
    assert text.startswith("# Chosen by `imgc tune` for: the greatest mAP.\n# On the validation images: mAP 55.00 %")
