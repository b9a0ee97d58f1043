"""Where the time of one call goes: what each operator of a model file takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compress.core.formats import Format
from compress.measure.op_cost import CALLS, WARMUP, OpCost
from compress.measure.profile_tflite import profile_tflite
from compress.runtime.detector import Detector
from compress.runtime.onnx_predictor import session_options
from compress.runtime.predictor import Predictor

_US_PER_MS = 1e3
_KERNEL = "_kernel_time"


def profile(predictor: Predictor | Detector) -> tuple[OpCost, ...] | None:
    """Return each operator's time with the predictor's threads, in the order of the graph; None for a torch model.

    ONNX Runtime's own profiler tells them. LiteRT's Python package has none: there the file is cut behind each
    operator, which takes what the longer piece takes more than the shorter one; small ones drown in noise.

    Args:
        predictor: an opened ONNX or TFLite file; the file is opened again.
    """
    if predictor.format is Format.ONNX:
        return _profile_onnx(predictor)
    if predictor.format is Format.TFLITE:
        return profile_tflite(Path(predictor.path), predictor.threads)
    return None


def _profile_onnx(predictor: Predictor | Detector) -> tuple[OpCost, ...]:
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="imgc-profile-") as folder:
        options = session_options(predictor.threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "ort")
        session = onnxruntime.InferenceSession(str(predictor.path), options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: _zeros(session.get_inputs()[0])}
        for _ in range(WARMUP + CALLS):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return _costs_of(events)


def _zeros(wanted: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - ONNX Runtime ships no types
    shape = [size if isinstance(size, int) else 1 for size in wanted.shape]
    return np.zeros(shape, np.float16 if wanted.type == "tensor(float16)" else np.float32)


def _costs_of(events: Sequence[dict[str, Any]]) -> tuple[OpCost, ...]:
    """Return the mean of the kernel times of each node, without those of the first `WARMUP` calls."""
    times_us: dict[str, list[float]] = {}
    ops: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_KERNEL):
            name = event["name"].removesuffix(_KERNEL)
            ops[name] = event["args"]["op_name"]
            times_us.setdefault(name, []).append(float(event["dur"]))
    return tuple(
        OpCost(name, ops[name], float(np.mean(took[WARMUP:])) / _US_PER_MS, None) for name, took in times_us.items()
    )
