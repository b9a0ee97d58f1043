from __future__ import annotations

import pytest
from toy_runs import recipe, run

from compress.errors import UsageError
from compress.pipeline.explain import explain, require_kept

CHAIN = [{"kind": "train"}, {"kind": "prune", "keep": 0.5}, {"kind": "quantize"}]


def _explained(stages, folder, **more):
    found = explain(recipe(stages, folder, **more), runs_dir=folder / "runs")
    return [(item.stage_id, item.action, *item.reasons) for item in found]


def test_before_the_first_run_nothing_is_written(tmp_path):
    assert _explained(CHAIN, tmp_path) == [
        ("train", "run", "never finished in this run"),
        ("prune", "run", "its input 'train' is made anew"),
        ("quantize", "run", "its input 'prune' is made anew"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_it_names_the_part_that_changed(tmp_path, calls):
    run(CHAIN, tmp_path)
    assert [item[1] for item in _explained(CHAIN, tmp_path)] == ["reuse"] * 3
    changed = [CHAIN[0], {"kind": "prune", "keep": 0.75}, CHAIN[2]]
    assert _explained(changed, tmp_path) == [
        ("train", "reuse", "sealed in demo/01-train"),
        ("prune", "run", "config.keep: 0.5 -> 0.75"),
        ("quantize", "run", "its input 'prune' is made anew"),
    ]
    assert _explained(CHAIN, tmp_path, seed=3)[0] == ("train", "run", "seed: 0 -> 3")
    calls.clear()
    run(changed, tmp_path)
    assert calls == ["prune", "quantize"], "as explained"


def test_damage_and_siblings_are_reasons_too(tmp_path):
    result = run(CHAIN, tmp_path)
    (result.run_dir / "03-quantize" / "model.onnx").unlink()
    assert _explained(CHAIN, tmp_path)[2] == ("quantize", "run", "its sealed file is missing or damaged")
    assert _explained(CHAIN[:1], tmp_path, name="other") == [("train", "reuse", "sealed in demo/01-train")]


NEXT = [*CHAIN, {"kind": "export", "format": "onnx"}]


def _require_kept(stages, folder, kept=("train", "prune", "quantize"), **more):
    require_kept(recipe(stages, folder, **more), kept, runs_dir=folder / "runs", name="demo")


def test_what_stays_as_it_is_may_be_added_to(tmp_path):
    run(CHAIN, tmp_path)
    _require_kept(NEXT, tmp_path)


def test_a_sealed_stage_that_would_be_made_anew_stops_with_the_reason_and_two_ways_on(tmp_path, calls):
    run(CHAIN, tmp_path)
    (tmp_path / "runs" / "demo-2").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    calls.clear()
    with pytest.raises(UsageError) as raised:
        _require_kept(NEXT, tmp_path, seed=3)
    assert "sealed stage 'train' would be made anew, and after it prune, quantize" in raised.value.message
    assert "seed: 0 -> 3" in raised.value.message
    assert "`imgc run --resume --name demo`" in raised.value.hint
    assert "recipe.resolved.yaml --name demo-3`" in raised.value.hint
    assert calls == []
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_only_the_stages_that_are_to_stay_are_asked_after(tmp_path):
    run(CHAIN, tmp_path)
    changed = [CHAIN[0], {"kind": "prune", "keep": 0.75}]
    _require_kept(changed, tmp_path, kept=("train",))
    with pytest.raises(UsageError, match=r"'prune' would be made anew, since .*keep: 0\.5 -> 0\.75"):
        _require_kept(changed, tmp_path)


def test_equal_work_of_another_run_replaces_a_sealed_stage_too(tmp_path):
    run(CHAIN, tmp_path)
    run(CHAIN, tmp_path, name="other", seed=3)
    assert [item[1] for item in _explained(CHAIN, tmp_path, seed=3)] == ["reuse"] * 3
    with pytest.raises(UsageError, match="'train' would be made anew"):
        _require_kept(NEXT, tmp_path, seed=3)


def test_a_damaged_stage_is_not_repaired_by_the_way_unless_another_run_has_it(tmp_path):
    result = run(CHAIN, tmp_path)
    (result.run_dir / "01-train" / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="missing or damaged"):
        _require_kept(NEXT, tmp_path)
    run(CHAIN, tmp_path, name="other")
    _require_kept(NEXT, tmp_path)


def test_images_may_be_given_to_a_run_that_had_none(tmp_path, photos):
    run(CHAIN, tmp_path)
    _require_kept(NEXT, tmp_path, data={"kind": "folder", "path": str(photos)})
