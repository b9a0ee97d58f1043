"""A setting as a run: its name, what is read of it when it ended, and what is told when a part is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.core.stage import SilentReporter
from compress.tune import trial as module
from compress.tune.space import Base, Knobs
from compress.tune.trial import TrialContext, final_file, latency_ms_of, point_of, run_name, try_out
from tests.tune.finished_chain import box_row, finished, row

KNOBS = Knobs(arch="tiny", input_px=96)
BASE = Base({"kind": "folder", "path": "photos"}, {"tiny": "none"}, "onnx", None, 0, 6, 96)
PLACE = TrialContext(Path("runs"), "s", "cpu", None, SilentReporter())


def test_the_same_setting_has_the_same_run_and_another_one_another() -> None:
    name = run_name("s", KNOBS, 0.5)
    assert name.startswith("s-tiny-96-")
    assert run_name("s", KNOBS, 0.5 + 1e-9) == name
    others = [run_name("s", KNOBS.model_copy(update={"patience": 2}), 0.5), run_name("s", KNOBS, 0.51)]
    assert len({name, *others}) == 3


def test_a_point_is_the_final_file_s_row(tmp_path: Path) -> None:
    result = finished(tmp_path / "run", row("final", top1_pct=88.0, top1_drop_pp=3.0, size_bytes=4321))
    point = point_of(result, "run", PLACE)
    assert (point.name, point.n_images, point.top1_pct, point.drop_pp) == ("run", 200, 88.0, 3.0)
    assert (point.size_bytes, point.latency_ms, point.memory_bytes) == (4321, 3.0, None)
    assert final_file(result) == tmp_path / "run" / "02-final" / "model.onnx"


def test_a_detectors_point_has_its_map_and_the_interval(tmp_path: Path) -> None:
    final = box_row("final", map_pct=58.0, map_ci95_pct=(50.0, 66.0), map_drop_pp=2.0)
    point = point_of(finished(tmp_path / "run", final), "run", PLACE)
    assert (point.map_pct, point.map_ci95_pct, point.drop_pp, point.top1_pct) == (58.0, (50.0, 66.0), 2.0, None)
    unmeasured = box_row("final", map_pct=None, map_drop_pp=None, error="no kernel for Conv")
    with pytest.raises(module.StageError, match="no kernel for Conv"):
        point_of(finished(tmp_path / "other", unmeasured), "other", PLACE)


def test_latency_is_estimated_for_a_device_that_is_not_here() -> None:
    device = replace(PLACE, ms_per_mmac=0.25)
    assert latency_ms_of(row("final"), PLACE) == 3.0
    assert latency_ms_of(row("final"), device) == 0.5
    assert latency_ms_of(row("final", macs=None), device) == 3.0, "nothing to estimate it from"


def test_a_setting_is_judged_on_the_validation_images_and_tells_what_each_kind_took(tmp_path, monkeypatch) -> None:
    asked = []

    def carry_out(recipe, context, watch):
        asked.append((recipe, watch))
        return finished(tmp_path / "run", row("final"))

    monkeypatch.setattr(module, "carry_out", carry_out)
    point, seconds = try_out(KNOBS, 0.5, BASE, PLACE, watch := object())  # type: ignore[arg-type]
    ((recipe, given),) = asked
    assert given is watch
    assert recipe["stages"][-1]["split"] == "val"
    assert recipe["name"] == point.name == run_name("s", KNOBS, 0.5)
    assert seconds == {"train": 10.0, "export": 20.0, "benchmark": 30.0}


def test_a_file_that_was_not_measured_is_no_point(tmp_path: Path) -> None:
    result = finished(tmp_path / "run", row("final", top1_pct=None, latency_p50_ms=None, error="no kernel for Conv"))
    with pytest.raises(module.StageError, match="no kernel for Conv"):
        point_of(result, "run", PLACE)
