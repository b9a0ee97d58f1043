"""An int8 file beside its float model, with answers and times known by construction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Format, Precision
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.measure.latency import measure_latency
from compress.measure.machine_speed import MachineSpeed
from compress.runtime.evaluate import evaluate
from compress.runtime.open import open_predictor
from evals.int8 import compare as module
from evals.int8.compare import evaluate_file, int8_weight_pct, latency_ratio, open_int8

SIDE = 16
SPEC = ModelSpec(
    arch="tiny",
    labels=("a", "b", "c"),
    input_chw=(3, SIDE, SIDE),
    preprocess=Preprocess(resize_px=SIDE, crop_px=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
)
COLOURS = np.eye(3, dtype=np.uint8) * 255


def _model(path: Path, weight: np.ndarray, *, extra: np.ndarray | None = None) -> Path:
    """Write mean colour @ weight.T; int8 weights are dequantized with the scale 1."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
    ]
    constants = [numpy_helper.from_array(weight, "weight")]
    if weight.dtype == np.int8:
        nodes.append(helper.make_node("DequantizeLinear", ["weight", "scale"], ["float"]))
        constants.append(numpy_helper.from_array(np.float32(1), "scale"))
    name = "float" if weight.dtype == np.int8 else "weight"
    nodes.append(helper.make_node("Gemm", ["flat", name], ["made" if extra is not None else "logits"], transB=1))
    if extra is not None:
        nodes.append(helper.make_node("Gemm", ["made", "extra"], ["logits"], transB=1))
        constants.append(numpy_helper.from_array(extra, "extra"))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def pixels() -> np.ndarray:
    """Return four images [4,16,16,3] of the colours 0, 1, 2, 0."""
    return np.ascontiguousarray(np.broadcast_to(COLOURS[[0, 1, 2, 0], None, None], (4, SIDE, SIDE, 3)))


def test_evaluate_file(tmp_path, pixels):
    right = _model(tmp_path / "float.onnx", np.eye(3, dtype=np.float32))
    # takes the second colour for the third
    wrong = _model(tmp_path / "int8.onnx", np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1]], np.int8))
    reference = evaluate(open_predictor(right, spec=SPEC), pixels, [0, 1, 2, 1]).logits_NK
    found = evaluate_file(wrong, SPEC, pixels, [0, 1, 2, 1], reference)
    assert (found.n_images, found.top1_pct, found.agreement_pct) == (4, 50.0, 75.0)
    assert found.int8_weight_pct == 100
    assert found.logits_NK.shape == (4, 3)


def test_share_of_int8_weights(tmp_path):
    floats, integers = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.int8)
    assert int8_weight_pct(_model(tmp_path / "float.onnx", floats)) == 0
    assert int8_weight_pct(_model(tmp_path / "int8.onnx", integers)) == 100
    assert int8_weight_pct(_model(tmp_path / "half.onnx", integers, extra=floats)) == 50


def test_share_of_a_damaged_file(tmp_path):
    for name in ("bad.onnx", "bad.tflite", "bad.txt"):
        (tmp_path / name).write_bytes(b"\xff" * 20)
        with pytest.raises(ModelFileError):
            int8_weight_pct(tmp_path / name)


def test_open_int8_says_int8_and_checks_sizes(tmp_path):
    path = _model(tmp_path / "int8.onnx", np.eye(3, dtype=np.int8))
    assert open_int8(path, SPEC).spec.precision is Precision.INT8
    with pytest.raises(ModelFileError):
        open_int8(path, SPEC.model_copy(update={"input_chw": (3, 99, 99)}))


@dataclass
class Clock:
    """Tells the time that calls have taken."""

    now_ns: int = 0

    def __call__(self):
        return self.now_ns


@dataclass
class Busy:
    """A predictor whose call takes a given time on a clock of the test's own."""

    milliseconds: float
    clock: Clock
    calls: int = 0
    path = Path("busy.onnx")
    format = Format.ONNX
    runtime = "none"
    threads = 1
    spec = SPEC

    def prepared(self, _):
        return self.call

    def call(self):
        self.calls += 1
        self.clock.now_ns += int(self.milliseconds * 1e6)


def test_latency_ratio(monkeypatch):
    clock = Clock()
    timed = partial(measure_latency, clock=clock, cpu_clock=clock, speed=MachineSpeed(read=lambda: 1.0))
    monkeypatch.setattr(module, "measure_latency", timed)
    slow, fast = Busy(0.6, clock), Busy(0.2, clock)
    image = np.zeros((1, 3, SIDE, SIDE), np.float32)
    found = latency_ratio(slow, fast, image, rounds=4)
    assert found.ratio == pytest.approx(3)
    assert found.low <= found.ratio <= found.high
    assert found.p50_ms == pytest.approx(0.6)
    assert found.rounds == 4
    assert min(slow.calls, fast.calls) >= 4 * module._CALLS
    assert latency_ratio(fast, slow, image, rounds=2).ratio < 0.5


def test_latency_ratio_wants_a_round():
    with pytest.raises(UsageError, match="at least 1"):
        latency_ratio(Busy(0, Clock()), Busy(0, Clock()), np.zeros((1, 3, SIDE, SIDE), np.float32), rounds=0)
