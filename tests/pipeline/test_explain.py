from __future__ import annotations

from toy_runs import recipe, run

from compress.pipeline.explain import explain

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
