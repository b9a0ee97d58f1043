from __future__ import annotations

import json

import pytest

from compress.cli import plan_times
from compress.cli.plan_times import stage_times
from compress.core.stage import SilentReporter
from compress.recipe.load import recipe_from_dict
from compress.recipe.plan import plan

STAGES = [
    {"kind": "train", "arch": "tiny", "weights": "none", "input_px": 32, "fit": {"epochs": 10}},
    {"kind": "prune", "keep": 0.7},
    {"kind": "distill", "teacher": "train", "fit": {"epochs": 5}},
    {"kind": "quantize", "scheme": "int8_qat", "fit": {"epochs": 2}},
    {"kind": "export", "format": "all"},
    {"kind": "benchmark"},
]


@pytest.fixture
def planned(photos, tmp_path):
    tree = {"imgc": 1, "name": "r", "data": {"kind": "folder", "path": str(photos)}, "stages": STAGES}
    return plan(recipe_from_dict(tree, tmp_path))


def test_times_follow_the_measured_step(planned, monkeypatch):
    def seconds(step_s):
        monkeypatch.setattr(plan_times, "_step_s", lambda _: step_s)
        return {one.stage: one.seconds for one in stage_times(planned, SilentReporter())}

    fast, slow = seconds(0.1), seconds(0.2)
    assert fast["train"] == pytest.approx(10 * 0.1), "24 images are one step"
    assert slow["train"] == pytest.approx(2 * fast["train"])
    assert fast["train"] > fast["distill"] > 0
    assert fast["prune-sibling"] > fast["prune"], "it is trained for all the epochs"
    assert slow["export-onnx"] == fast["export-onnx"]
    assert fast["benchmark"] == pytest.approx(8 * 6.0)


def test_what_can_be_left_out_is_named_and_planned(planned, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_times, "_step_s", lambda _: 0.1)
    options = {one.stage: one.instead for one in stage_times(planned, SilentReporter())}
    assert options["prune-sibling"] == "--set stages.prune.sibling=false"
    assert options["quantize"] == "--set stages.quantize.scheme=int8_static"
    assert options["benchmark"] == "--set stages.benchmark.quick=true"
    sets = [text.removeprefix("--set ") for text in options.values() if text]
    tree = {"imgc": 1, "name": "r", "data": {"kind": "folder", "path": str(photos)}, "stages": STAGES}
    shorter = plan(recipe_from_dict(tree, tmp_path, overrides=sets))
    assert sum(one.seconds for one in stage_times(shorter, SilentReporter())) < 0.7 * sum(
        one.seconds for one in stage_times(planned, SilentReporter())
    )


@pytest.mark.slow
def test_the_command_measures_and_says_them(imgc, folder, photos):
    assert imgc("init", photos, "--quick", "--arch", "tiny").exit_code == 0
    result = imgc("plan", "--times", "--json")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["expected_seconds"]) == {"train", "float", "quantize", "export", "benchmark"}
    assert "about, on this machine now" in imgc("plan", "--times").stdout
