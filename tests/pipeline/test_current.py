from __future__ import annotations

import pytest
from toy_runs import run
from toy_stages import ToyRecipe

from compress.core.formats import Format
from compress.errors import UsageError
from compress.pipeline.current import current_run, find_artifact, load_run
from compress.pipeline.runner import run_recipe

CHAIN = [{"kind": "train"}, {"kind": "prune", "keep": 0.5}]


@pytest.fixture
def done(tmp_path):
    return run(CHAIN, tmp_path)


def test_the_current_run_is_the_newest_or_the_named(tmp_path, done):
    assert current_run(tmp_path / "runs") == done.run_dir
    other = run(CHAIN, tmp_path, name="other")
    assert current_run(tmp_path / "runs") == other.run_dir
    assert current_run(tmp_path / "runs", "demo") == done.run_dir
    with pytest.raises(UsageError, match="there is no run 'dem'") as error:
        current_run(tmp_path / "runs", "dem")
    assert error.value.hint == "runs: demo, other"


def test_no_run_yet(tmp_path):
    with pytest.raises(UsageError, match="there is no run yet") as error:
        current_run(tmp_path / "runs")
    assert "imgc train" in error.value.hint


def test_a_run_can_be_run_again_from_its_folder(tmp_path, done, calls, monkeypatch):
    given = (done.run_dir / "recipe.yaml").read_text()
    calls.clear()
    monkeypatch.chdir("/")
    again = run_recipe(load_run(done.run_dir, schema=ToyRecipe), runs_dir=tmp_path / "runs")
    assert calls == []
    assert again.lock == done.lock
    assert (done.run_dir / "recipe.yaml").read_text() == given


def test_the_newest_artifact(tmp_path, done):
    assert find_artifact(done.run_dir).path == done.run_dir / "02-prune" / "model.safetensors"
    assert find_artifact(done.run_dir, "train").stage_id == "train"
    with pytest.raises(UsageError, match="no sealed artifact of format onnx or tflite"):
        find_artifact(done.run_dir, formats=(Format.ONNX, Format.TFLITE))
    with pytest.raises(UsageError, match="sealed: train, prune") as error:
        find_artifact(done.run_dir, "trian")
    assert error.value.hint == "did you mean 'train'?"
    with pytest.raises(UsageError, match="sealed: nothing"):
        find_artifact(tmp_path)
