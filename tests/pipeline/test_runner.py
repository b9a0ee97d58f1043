from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from toy_runs import Talk, hashes, recipe, run

from compress.core.stage import StageConfig
from compress.errors import BackendMissingError, ModelFileError, RecipeError, StageError, UsageError
from compress.pipeline import runner
from compress.pipeline.lock import LOCK_NAME, read_lock
from compress.pipeline.run_dir import writing
from compress.pipeline.runner import run_recipe

GOOD = [{"kind": "train"}, {"kind": "prune"}]


def _faulty(fault):
    return [{"kind": "train"}, {"kind": "prune", "fault": fault}, {"kind": "quantize"}]


@pytest.mark.parametrize(
    ("fault", "error", "code", "words"),
    [
        ("bug", StageError, 4, "stage 'prune' failed: ZeroDivisionError: by nought"),
        ("own error", ModelFileError, 4, "stage 'prune': layer7 is missing"),
        ("full disk", StageError, 4, "stage 'prune': the disk is full"),
        ("full disk, native", StageError, 4, "stage 'prune': the disk is full"),
        ("read-only", UsageError, 2, "stage 'prune': no access to "),
        ("missing module", BackendMissingError, 3, "stage 'prune': this command needs the Python module 'onnx2tf'"),
        ("nan", StageError, 4, "stage 'prune' reports a metric that is not a number"),
        ("escape", StageError, 4, "which is not in"),
        ("empty", StageError, 4, "made an empty file"),
        ("no file", StageError, 4, "which is not in"),
        ("other format", StageError, 4, "planned was torch"),
    ],
)
def test_a_failed_stage_is_never_recorded(tmp_path, calls, fault, error, code, words):
    with pytest.raises(error) as failure:
        run(_faulty(fault), tmp_path)
    assert words in failure.value.message
    assert failure.value.exit_code == code
    run_dir = tmp_path / "runs" / "demo"
    assert [stage.id for stage in read_lock(run_dir).stages] == ["train"]
    assert sorted(path.name for path in run_dir.glob("[0-9]*")) == ["01-train"]
    calls.clear()
    run(GOOD, tmp_path)
    assert calls == ["prune"], "what was sealed before the failure stays"


def test_an_unexpected_error_keeps_its_cause_for_debugging(tmp_path):
    with pytest.raises(StageError) as failure:
        run(_faulty("bug"), tmp_path)
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert "--debug" in failure.value.hint
    with pytest.raises(ModelFileError) as failure:
        run(_faulty("own error"), tmp_path)
    assert failure.value.hint == "train again"


def test_ctrl_c_says_how_to_go_on_and_keeps_the_work(tmp_path):
    talk = Talk()
    with pytest.raises(KeyboardInterrupt):
        run(_faulty("interrupt"), tmp_path, reporter=talk)
    assert talk.warnings == ["stopped in stage 'prune'; `imgc run --resume --name demo` goes on from here"]
    assert list((tmp_path / "runs" / "demo" / ".partial").glob("02-prune-*/checkpoint.json"))


def test_another_key_takes_the_place_of_a_partial(tmp_path):
    with pytest.raises(StageError):
        run(_faulty("bug"), tmp_path)
    with pytest.raises(StageError):
        run(_faulty("no file"), tmp_path)
    partials = list((tmp_path / "runs" / "demo" / ".partial").iterdir())
    assert len(partials) == 1


def test_what_is_old_in_a_recipe_is_said_first(tmp_path):
    talk = Talk()
    run_recipe(replace(recipe(GOOD, tmp_path), warnings=("old",)), runs_dir=tmp_path / "runs", reporter=talk)
    assert talk.warnings == ["old"]


def test_a_damaged_artifact_is_told_and_made_again(tmp_path, calls):
    first = run(GOOD, tmp_path)
    before = hashes(first)
    (first.run_dir / "01-train" / "model.safetensors").write_text("rotten")
    calls.clear()
    talk = Talk()
    second = run(GOOD, tmp_path, reporter=talk)
    assert calls == ["train"], "prune's input has the same content again"
    assert hashes(second) == before
    assert any("01-train/model.safetensors: damaged" in line for line in talk.warnings)


def test_a_damaged_lock_is_written_anew(tmp_path, calls):
    first = run(GOOD, tmp_path)
    (first.run_dir / LOCK_NAME).write_text('{"schema_version": 1')
    calls.clear()
    talk = Talk()
    second = run(GOOD, tmp_path, reporter=talk)
    assert calls == []
    assert second.lock == first.lock == read_lock(first.run_dir)
    assert "not a run lock" in talk.warnings[0]


def test_two_writers(tmp_path):
    with writing(tmp_path / "runs" / "demo"), pytest.raises(UsageError, match="written by another process") as failure:
        run(GOOD, tmp_path)
    assert str(os.getpid()) in failure.value.message
    assert failure.value.exit_code == 2
    run(GOOD, tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UsageError, match=r"no access to .*runs") as failure:
        run(GOOD, tmp_path)
    assert failure.value.exit_code == 2


def test_a_full_disk_while_sealing(tmp_path, monkeypatch):
    def _full(*_args):
        raise OSError(28, "No space left on device", "seal.json")

    monkeypatch.setattr(runner, "write_seal", _full)
    with pytest.raises(StageError, match=r"the disk is full: seal.json") as failure:
        run(GOOD, tmp_path)
    assert failure.value.exit_code == 4
    assert not (tmp_path / "runs" / "demo" / "01-train").exists()


def test_a_really_full_disk(tmp_path, monkeypatch):
    """The kernel's own ENOSPC, from the device that is always full."""
    import toy_stages

    def _fill(*_args):
        handle = os.open("/dev/full", os.O_WRONLY)
        try:
            os.write(handle, b"x")
        finally:
            os.close(handle)

    monkeypatch.setattr(toy_stages, "_break", _fill)
    with pytest.raises(StageError, match="stage 'prune': the disk is full"):
        run(_faulty("full"), tmp_path)


def test_a_recipe_that_cannot_be_planned_writes_nothing(tmp_path):
    with pytest.raises(RecipeError):
        run([{"kind": "prune"}], tmp_path)
    assert not (tmp_path / "runs").exists()


def test_gates_are_results_and_raise_nothing_here(tmp_path):
    gates = [{"metric": "top1_drop_pp", "at": "prune", "max": 0.5}, {"metric": "macs", "at": "prune", "max": 1000}]
    result = run([*GOOD, {"kind": "benchmark"}], tmp_path, gates=gates)
    assert [gate["passed"] for gate in result.gates] == [False, True]
    assert json.loads((result.run_dir / "gates.json").read_text()) == result.gates


def test_another_name_and_the_environment(tmp_path):
    result = runner.run_recipe(recipe(GOOD, tmp_path), runs_dir=tmp_path / "runs", name="mine")
    assert result.run_dir == tmp_path / "runs" / "mine"
    assert result.lock.name == "mine"
    facts = json.loads((result.run_dir / "environment.json").read_text())
    assert facts["device"] == "cpu"
    assert facts["versions"]["numpy"]


def test_what_an_earlier_attempt_made_stays_recorded_until_there_is_something_better(tmp_path):
    run(GOOD, tmp_path)
    run_dir = tmp_path / "runs" / "demo"
    with pytest.raises(StageError):
        run([{"kind": "train", "seed_text": "other", "fault": "bug"}, {"kind": "prune"}], tmp_path)
    lock = read_lock(run_dir)
    assert [stage.id for stage in lock.stages] == ["train", "prune"]
    assert all((run_dir / stage.artifact.path).is_file() for stage in lock.stages)


def test_a_stage_that_the_recipe_does_not_have_is_put_aside_and_found_again(tmp_path, calls):
    longer = [*GOOD, {"kind": "quantize"}]
    first = hashes(run(longer, tmp_path))
    said = Talk()
    result = run(GOOD, tmp_path, reporter=said)
    assert [stage.id for stage in result.lock.stages] == ["train", "prune"]
    assert said.warnings == ["demo/03-quantize: no stage of the recipe, moved to demo/aside/03-quantize"]
    assert (result.run_dir / "aside" / "03-quantize" / "model.onnx").is_file()
    calls.clear()
    assert hashes(run(longer, tmp_path)) == first
    assert calls == []


def test_a_stage_that_took_long_is_kept_when_it_is_made_anew(tmp_path, calls, monkeypatch):
    first, other = [{"kind": "train"}], [{"kind": "train", "seed_text": "other"}]
    monkeypatch.setattr(runner, "_DEAR_S", 0.0)
    before = hashes(run(first, tmp_path))
    said = Talk()
    run(other, tmp_path, reporter=said)
    (warning,) = said.warnings
    assert warning.startswith("demo/01-train: made anew; what was there is kept in demo/aside/01-train-")
    calls.clear()
    assert hashes(run(first, tmp_path)) == before
    assert calls == [], "it is used again"
    monkeypatch.setattr(runner, "_DEAR_S", 60.0)
    said = Talk()
    run([{"kind": "train", "seed_text": "third"}], tmp_path, reporter=said)
    assert said.warnings == [], "what takes no time is not worth keeping"


def test_what_holds_for_a_moment_is_never_taken_from_elsewhere(tmp_path, calls, monkeypatch):
    again = {"kind": "prune", "id": "again", "from": "train"}
    run([*GOOD, again], tmp_path)
    assert calls == ["train", "prune"], "the same work, taken from the first"
    calls.clear()
    monkeypatch.setattr(StageConfig, "of_the_moment", True)
    run([*GOOD, again, {**again, "id": "once-more"}], tmp_path)
    assert calls == ["once-more"], "done anew; what stands in its own place is reused"


def test_a_stage_with_another_number_is_not_put_aside(tmp_path):
    run(GOOD, tmp_path)
    said = Talk()
    run_dir = run(
        [{"kind": "train"}, {"kind": "prune", "id": "first", "keep": 0.5}, {"kind": "prune", "from": "train"}],
        tmp_path,
        reporter=said,
    ).run_dir
    assert not (run_dir / "aside").exists()
    assert said.warnings == []
