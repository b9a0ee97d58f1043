"""The most memory a fresh process holds while it loads a model and runs it: `python -m compress.benchmark.memory FILE`.

A process of its own for each model, since memory once taken by a library is seldom given back.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from compress.core.preprocess import Preprocess
from compress.errors import StageError
from compress.runtime.predictor import open_predictor

_CALLS = 5
_TIMEOUT_S = 300


def peak_rss_bytes(path: Path, *, threads: int = 1, batch: int = 1, preprocess: Preprocess | None = None) -> int:
    """Return the peak resident memory, in bytes, of a new process that opens the model and predicts a few times.

    Python, NumPy and the runtime's library are part of it: it is what a machine needs to serve the model.
    `preprocess` is for a file of another tool, as in `open_predictor`.

    Raises:
        StageError: the process failed; the last line it wrote says why.
    """
    command = [sys.executable, "-m", "compress.benchmark.memory", str(path), str(threads), str(batch)]
    if preprocess is not None:
        command.append(preprocess.model_dump_json())
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired as error:
        raise StageError(f"{path}: measuring its memory took longer than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}, perhaps out of memory"]
        raise StageError(f"{path}: the process that measures its memory failed: {lines[-1]}")
    return int(done.stdout.split()[-1])


def own_peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes.

    Linux: VmHWM, which starts anew with the program. `ru_maxrss` does not: it keeps the peak of the parent that
    forked, so a small child of a large trainer would look large.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return _ru_maxrss_bytes()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _ru_maxrss_bytes() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, the others KiB


def _main(path: str, threads: str, batch: str, preprocess: str = "") -> None:
    known = Preprocess.model_validate_json(preprocess) if preprocess else None
    predictor = open_predictor(Path(path), threads=int(threads), preprocess=known)
    images_NCHW = np.zeros((int(batch), *predictor.spec.input_chw), dtype=np.float32)
    for _ in range(_CALLS):
        predictor.predict(images_NCHW)
    sys.stdout.write(f"{own_peak_rss_bytes()}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
