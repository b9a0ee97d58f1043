from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.artifact import Artifact
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
    assert artifact_at(tmp_path, _stage(2)).path == tmp_path / "02-s2" / "model.onnx"


def test_a_changed_stage_drops_what_came_after_it():
    lock = RunLock(name="r", stages=(_stage(1), _stage(2), _stage(3)))
    assert lock.with_stage(_stage(2)) is lock
    assert [stage.key for stage in lock.with_stage(_stage(2, "new")).stages] == ["k", "new"]
    assert len(lock.first(1).stages) == 1
    assert lock.first(5) is lock


def test_a_damaged_lock_names_its_file(tmp_path):
    for text in ("", "[]", '{"schema_version": 2, "name": "r", "stages": []}'):
        (tmp_path / LOCK_NAME).write_text(text)
        with pytest.raises(StageError, match=LOCK_NAME):
            read_lock(tmp_path)
