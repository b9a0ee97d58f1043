"""Memory and cold start of a fresh process that loads a model and runs it: `python -m compress.benchmark.memory FILE`.

A process of its own for each model, since memory once taken by a library is seldom given back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from compress.core.preprocess import Preprocess
from compress.errors import StageError
from compress.runtime.open import open_model

_CALLS = 5
_PROCESSES = 3
_LONG_S = 3.0  # a runtime that is imported for seconds differs little from start to start
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Fresh:
    """What fresh processes took, medians of three, or of fewer where those took long.

    Attributes:
        peak_rss_bytes: most resident memory; Python, NumPy and the runtime's library are part of it, since it is what
            a machine needs to serve the model.
        steady_rss_bytes: resident memory after the calls; None where the kernel does not tell.
        cold_start_ms: from opening the file to the first answer: the import of the runtime is in it, the start of
            Python and NumPy is not. The file may come from the system's cache.
    """

    peak_rss_bytes: int
    steady_rss_bytes: int | None
    cold_start_ms: float


def measure_fresh(path: Path, *, threads: int = 1, batch: int = 1, preprocess: Preprocess | None = None) -> Fresh:
    """Return what new processes need that open the model and predict a few times.

    `preprocess` is for a file of another tool, as in `open_model`.

    Raises:
        StageError: a process failed; the last line it wrote says why.
    """
    command = [sys.executable, "-m", "compress.benchmark.memory", str(path), str(threads), str(batch)]
    if preprocess is not None:
        command.append(preprocess.model_dump_json())
    found: list[dict[str, Any]] = []
    began = perf_counter()
    while len(found) < _PROCESSES and (not found or perf_counter() - began < _LONG_S):
        found.append(_one(path, command))
    steady = [one["steady_rss_bytes"] for one in found if one["steady_rss_bytes"] is not None]
    return Fresh(
        peak_rss_bytes=median(one["peak_rss_bytes"] for one in found),
        steady_rss_bytes=median(steady) if steady else None,
        cold_start_ms=median(one["cold_start_ms"] for one in found),
    )


def _one(path: Path, command: list[str]) -> dict[str, Any]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired as error:
        raise StageError(f"{path}: measuring its memory took longer than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}, perhaps out of memory"]
        raise StageError(f"{path}: the process that measures its memory failed: {lines[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def own_peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes.

    Linux: VmHWM, which starts anew with the program. `ru_maxrss` does not: it keeps the peak of the parent that
    forked, so a small child of a large trainer would look large.
    """
    peak = _status_bytes("VmHWM:")
    return _ru_maxrss_bytes() if peak is None else peak


def _status_bytes(key: str) -> int | None:
    """Return a number of bytes that Linux tells of this process, None elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def _ru_maxrss_bytes() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, the others KiB


def _main(path: str, threads: str, batch: str, preprocess: str = "") -> None:
    known = Preprocess.model_validate_json(preprocess) if preprocess else None
    began = perf_counter()
    predictor = open_model(Path(path), threads=int(threads), preprocess=known)
    images_NCHW = np.zeros((int(batch), *predictor.spec.input_chw), dtype=np.float32)
    predictor.predict(images_NCHW)
    cold_start_ms = (perf_counter() - began) * 1000
    for _ in range(_CALLS - 1):
        predictor.predict(images_NCHW)
    found = {
        "steady_rss_bytes": _status_bytes("VmRSS:"),  # first: to ask for it takes a little memory itself
        "peak_rss_bytes": own_peak_rss_bytes(),
        "cold_start_ms": cold_start_ms,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
