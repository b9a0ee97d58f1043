"""What went wrong inside a stage -> an expected failure that names the stage and says what to try."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from compress.errors import ImgcError, StageError, missing_backend
from compress.pipeline.run_dir import disk_error

_TENSORFLOW = ("tensorflow", "onnx2tf", "tf_keras", "onnx_graphsurgeon", "sng4onnx")


def expected_failure(error: Exception, stage_id: str, stage_dir: Path) -> ImgcError:
    """Return the error to raise for an exception of a stage.

    A full disk, a read-only folder and a missing backend are told apart, however deep in the chain of causes; native
    writers know a full disk only as text.
    """
    for cause in _causes(error):
        if _is_full_disk(cause):
            full = OSError(errno.ENOSPC, "No space left on device")
            return named(disk_error(full, stage_dir), stage_id)
        if isinstance(cause, OSError) and _lies_in(cause.filename, stage_dir):
            return named(disk_error(cause, stage_dir), stage_id)
    if isinstance(error, ModuleNotFoundError) and not (error.name or "compress").startswith("compress"):
        module = str(error.name)
        extra = "tensorflow" if module.partition(".")[0] in _TENSORFLOW else "train"
        return named(missing_backend(module, extra), stage_id)
    return StageError(
        f"stage '{stage_id}' failed: {type(error).__name__}: {error}",
        hint="`imgc --debug run ...` shows where; `imgc run --resume` tries again from this stage",
    )


def named(error: ImgcError, stage_id: str) -> ImgcError:
    """Return the error with the stage's name before its message; its class, and so its exit code, stays."""
    error.message = f"stage '{stage_id}': {error.message}"
    error.args = (error.message,)
    return error


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_full_disk(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error) or "os error 28" in str(error)


def _lies_in(name: object, folder: Path) -> bool:
    return isinstance(name, str | Path) and Path(name).is_relative_to(folder)
