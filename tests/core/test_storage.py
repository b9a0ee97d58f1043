import json
import math
import os

import pytest

from compress.core.storage import atomic_path, temporary_folder, write_bytes, write_json


def test_a_write_replaces_the_file_as_a_whole(tmp_path):
    target = tmp_path / "deep" / "value.json"
    write_json(target, {"a": 1})
    write_json(target, {"a": 2})
    assert json.loads(target.read_text()) == {"a": 2}
    assert os.listdir(target.parent) == ["value.json"]  # noqa: PTH208


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "model.onnx"
    write_bytes(target, b"old")

    def write_half() -> None:
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_half()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "model.tflite") as temporary:
        assert temporary.suffix == ".tflite"
        assert temporary.parent == tmp_path


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": math.nan})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o007, 0o660, 0o770)])
def test_the_umask_says_who_may_read_what_is_written(tmp_path, umask, file_mode, folder_mode):
    old = os.umask(umask)
    try:
        with atomic_path(tmp_path / "deep" / "model.onnx") as temporary:
            temporary.unlink()
            temporary.touch(mode=0o600)
        folder = temporary_folder(tmp_path / "other")
    finally:
        os.umask(old)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "model.onnx", tmp_path / "deep", folder)]
    assert modes == [file_mode, folder_mode, folder_mode]
