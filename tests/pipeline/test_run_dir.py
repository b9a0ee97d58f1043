from __future__ import annotations

import errno
import os

import pytest

from compress.errors import StageError, UsageError
from compress.pipeline.run_dir import disk_error, disk_errors, point_latest, put_in_place, run_path, writing


def test_names_that_cannot_be_folders(tmp_path):
    assert run_path(tmp_path, "a-1.b") == tmp_path / "a-1.b"
    for name in ("../x", "a/b", "latest", "", ".hidden", "x" * 65):
        with pytest.raises(UsageError, match="cannot be the name"):
            run_path(tmp_path, name)


def test_latest_is_moved_in_one_step(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        point_latest(tmp_path / name)
        assert (tmp_path / "latest").readlink().name == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "one", "two"]


@pytest.mark.parametrize(
    ("number", "error", "code"),
    [
        (errno.ENOSPC, StageError, 4),
        (errno.EDQUOT, StageError, 4),
        (errno.EROFS, UsageError, 2),
        (errno.EACCES, UsageError, 2),
        (errno.ENOTDIR, UsageError, 2),
        (errno.EIO, StageError, 4),
    ],
)
def test_what_the_system_refuses(tmp_path, number, error, code):
    with pytest.raises(error) as failure, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert failure.value.exit_code == code
    assert str(tmp_path) in failure.value.message
    assert "other" in disk_error(OSError(number, "x", "other"), tmp_path).message


def test_the_writers_lock_is_let_go(tmp_path):
    with writing(tmp_path / "run"), pytest.raises(UsageError, match="another process"), writing(tmp_path / "run"):
        pass
    with writing(tmp_path / "run"):
        pass


def test_a_finished_folder_replaces_an_old_one(tmp_path):
    made, target = tmp_path / "made", tmp_path / "target"
    for folder in (made, target):
        folder.mkdir()
        (folder / folder.name).touch()
    put_in_place(made, target)
    assert [path.name for path in target.iterdir()] == ["made"]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
