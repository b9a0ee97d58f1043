"""A model file that no seal vouches for is opened and run in a process of its own first: `python -m ... FILE`.

The runtimes are written for files of good will: a damaged or hostile one can end the process that opens it, keep it for
ever, or take all memory. Here that happens to a process that nobody needs, and becomes a message.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

from compress.core.formats import Format, format_of
from compress.core.preprocess import Preprocess
from compress.errors import BackendMissingError, CheckError, ImgcError, ModelFileError, StageError

Purpose = Literal["look", "run", "graph"]
DEADLINE_S = 60.0
_FAULT = 2  # exit code: an error of ours is on stdout
_FAULTS = (BackendMissingError, CheckError, StageError)
_SPARE_BYTES = 2 << 30  # address space beside what the process has when it begins: the runtime's library, its buffers
_COPIES = 16  # of the file's bytes, as a runtime may keep its weights packed, as floats, and in buffers
_OPEN_PX = 224  # side of the image for a graph that takes any
_HINT = "do not use this file where you cannot lose the process: export it again, or ask whom it comes from"


def try_out(path: Path, purpose: Purpose = "run", *, deadline_s: float = DEADLINE_S) -> None:
    """Open a model file in a new process and let it answer one blank image.

    PyTorch's files are no programs and are not tried.

    Args:
        path: a .safetensors, .onnx or .tflite file.
        purpose: "run"; "graph" to read an ONNX file also as the graph that the stages work on; "look" to read it only.
        deadline_s: seconds for all of it.

    Raises:
        ModelFileError: the process crashed, failed, or took too much memory or too long.
        ImgcError: what it met, as this process would.
    """
    if format_of(path) is Format.TORCH or not path.is_file():
        return
    try:
        done = _in_new_process(path, purpose, deadline_s)
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"{path}: gave no answer to one blank image within {deadline_s:g} s; a loop without end looks like this",
            hint=_HINT,
        ) from None
    if done.returncode == _FAULT:
        name, message, hint = json.loads(done.stdout.splitlines()[-1])  # ONNX Runtime may have printed before it
        raise next((kind for kind in _FAULTS if kind.__name__ == name), ModelFileError)(message, hint=hint)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelFileError(
            f"{path}: a process that was to try it crashed ({name}); a damaged file looks like this", hint=_HINT
        )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelFileError(
            f"{path}: cannot be opened and run: {lines[-1] if lines else 'no reason given'}", hint=_HINT
        )


def _in_new_process(path: Path, purpose: Purpose, deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "compress.runtime.trial", str(path), purpose]
    return subprocess.run(command, capture_output=True, timeout=deadline_s, check=False)  # noqa: S603 - our own module


def _check(path: Path) -> None:
    if format_of(path) is Format.TFLITE:
        from compress.runtime.tflite_truth import require_truth

        require_truth(path.read_bytes(), path)


def _run(path: Path) -> None:
    import numpy as np

    from compress.runtime.open import open_model

    preprocess = Preprocess(resize_px=_OPEN_PX, crop_px=_OPEN_PX)
    model = open_model(path, preprocess=preprocess)
    model.predict(np.zeros((1, *model.spec.input_chw), np.float32))


def _read_graph(path: Path) -> None:
    if format_of(path) is Format.ONNX:
        from compress.graph.importer import import_classifier

        with suppress(ImgcError):  # a stage may not need what is missing, or says it better
            import_classifier(path)


def _bound_memory(path: Path) -> None:
    if sys.platform != "linux":  # elsewhere the limit is another one, or there is none
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _SPARE_BYTES + _COPIES * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main(path: str, purpose: str) -> int:
    try:
        _bound_memory(Path(path))
        _check(Path(path))
        if purpose != "look":
            _run(Path(path))
        if purpose == "graph":
            _read_graph(Path(path))
    except MemoryError as error:
        return _fault(ModelFileError(f"{path}: takes too much memory: {error}", hint=_HINT))
    except ImgcError as error:
        return _fault(error)
    except BaseException as error:
        lines = str(error).strip().splitlines() or [""]
        sys.stderr.write(f"{type(error).__name__}: {lines[0][:300]}\n")
        return 1
    return 0


def _fault(error: ImgcError) -> int:
    sys.stdout.write(f"\n{json.dumps([type(error).__name__, error.message, error.hint])}\n")
    return _FAULT


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]))
