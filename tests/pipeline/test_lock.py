from __future__ import annotations

import json
from pathlib import Path

import pytest

from compress.core.artifact import Artifact
from compress.core.digest import sha256_bytes
from compress.core.formats import Format
from compress.errors import StageError
from compress.pipeline.lock import LOCK_NAME, LockedStage, RunLock, artifact_at, read_lock, write_lock


def _stage(index: int, key: str = "k") -> LockedStage:
    path = Path(f"{index:02d}-s{index}") / "model.onnx"
    artifact = Artifact(
        stage_id=f"s{index}",
        kind="x",
        format=Format.ONNX,
        path=path,
        sha256="0" * 64,
        size_bytes=1,
        spec=None,
        metrics={},
    )
    return LockedStage(
        id=f"s{index}",
        kind="x",
        index=index,
        key=key,
        key_parts={},
        inputs={},
        artifact=artifact,
        seconds=1.5,
        reused=False,
    )


def test_it_reads_back_what_was_written(tmp_path):
    assert read_lock(tmp_path) is None
    lock = RunLock(name="r", stages=(_stage(1), _stage(2)))
    write_lock(tmp_path, lock)
    assert read_lock(tmp_path) == lock
    assert lock.find("s2") == _stage(2)
    assert lock.find("s3") is None


def test_a_changed_stage_drops_what_came_after_it():
    lock = RunLock(name="r", stages=(_stage(1), _stage(2), _stage(3)))
    assert lock.with_stage(_stage(2)) is lock
    assert [stage.key for stage in lock.with_stage(_stage(2, "new")).stages] == ["k", "new"]
    assert len(lock.first(1).stages) == 1
    assert lock.first(5) is lock


def test_an_artifact_is_what_was_sealed_or_an_error_that_says_what_remakes_it(tmp_path):
    run_dir = tmp_path / "r"
    path = run_dir / "02-s2" / "model.onnx"
    path.parent.mkdir(parents=True)
    stage = _stage(2)
    sealed = stage.model_copy(update={"artifact": stage.artifact.model_copy(update={"sha256": sha256_bytes(b"abc")})})
    with pytest.raises(StageError, match="gone since stage 's2' was sealed") as caught:
        artifact_at(run_dir, sealed)
    assert caught.value.hint == "`imgc run --resume --name r` makes stage 's2' again"
    path.write_bytes(b"abc")
    assert artifact_at(run_dir, sealed).path == path
    path.write_bytes(b"abd")
    with pytest.raises(StageError, match=f"{path}: damaged"):
        artifact_at(run_dir, sealed)


def _written(run_dir: Path, **changes: object) -> None:
    """Write a lock of one stage whose artifact was changed by hand."""
    lock = RunLock(name="r", stages=(_stage(1),)).model_dump(mode="json")
    lock["stages"][0]["artifact"] |= {name: value for name, value in changes.items() if name != "id"}
    lock["stages"][0] |= {name: value for name, value in changes.items() if name == "id"}
    (run_dir / LOCK_NAME).write_text(json.dumps(lock))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../outside/model.onnx"},
        {"path": "/etc/passwd"},
        {"path": "01-s1/../../model.onnx"},
        {"path": "01-s1\\..\\model.onnx"},
        {"stage_id": "../../pwn/x"},
        {"stage_id": "../../pwn/x", "id": "../../pwn/x"},
        {"stage_id": "s2"},
        {"id": "S 1"},
    ],
    ids=str,
)
def test_a_lock_that_leads_outside_its_folder_is_refused_where_it_is_read(tmp_path, changes):
    _written(tmp_path, **changes)
    with pytest.raises(StageError, match="not a run lock"):
        read_lock(tmp_path)


def test_a_link_out_of_the_run_is_refused(tmp_path):
    run_dir, secret = tmp_path / "r", tmp_path / "secret.onnx"
    (run_dir / "01-s1").mkdir(parents=True)
    secret.write_bytes(b"abc")
    (run_dir / "01-s1" / "model.onnx").symlink_to(secret)
    _written(run_dir)
    with pytest.raises(StageError, match="of stage 's1' is a link out of the run's folder"):
        read_lock(run_dir)


def test_a_run_below_a_link_is_read(tmp_path):
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "r").symlink_to(real)
    _written(real)
    assert read_lock(tmp_path / "r").stages == (_stage(1),)


def test_a_damaged_lock_names_its_file(tmp_path):
    for text in ("", "[]", '{"schema_version": 2, "name": "r", "stages": []}'):
        (tmp_path / LOCK_NAME).write_text(text)
        with pytest.raises(StageError, match=LOCK_NAME):
            read_lock(tmp_path)
