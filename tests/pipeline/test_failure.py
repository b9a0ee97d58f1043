from __future__ import annotations

import errno

from compress.errors import BackendMissingError, StageError, UsageError
from compress.pipeline.failure import expected_failure


def _raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_a_full_disk_is_found_among_the_causes(tmp_path):
    error = _raised(ValueError("could not save"), OSError(errno.ENOSPC, "No space left on device"))
    failure = expected_failure(error, "prune", tmp_path)
    assert isinstance(failure, StageError)
    assert failure.message.startswith(f"stage 'prune': the disk is full: {tmp_path}")


def test_only_the_stages_own_folder_is_the_users_to_open(tmp_path):
    inside = OSError(errno.EACCES, "Permission denied", str(tmp_path / "x"))
    outside = OSError(errno.EACCES, "Permission denied", "/elsewhere/x")
    assert isinstance(expected_failure(inside, "prune", tmp_path), UsageError)
    assert "PermissionError" in expected_failure(outside, "prune", tmp_path).message


def test_a_missing_backend_names_its_extra(tmp_path):
    missing = ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    failure = expected_failure(missing, "export", tmp_path)
    assert isinstance(failure, BackendMissingError)
    assert "imgc-toolkit[tensorflow]" in failure.hint
    assert "imgc-toolkit[train]" in expected_failure(ModuleNotFoundError("x", name="timm"), "train", tmp_path).hint
    ours = ModuleNotFoundError("x", name="compress.nowhere")
    assert not isinstance(expected_failure(ours, "train", tmp_path), BackendMissingError)
