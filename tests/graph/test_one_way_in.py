"""What one verb takes, the other takes, with equal logits: random classifiers as other tools spell them.

Each is read by the export stage, by the quantize stage and by the lowering to TFLite, and answers as ONNX Runtime does
on the file itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.preprocess import Preprocess
from compress.errors import ImgcError
from compress.export.config import ExportConfig
from compress.export.source import read_source
from compress.lower.walk import lower
from compress.quantize.source import float_graph

SIDE, CLASSES = 16, 5
PREPROCESS = Preprocess(resize_px=SIDE, crop_px=SIDE)
OPSETS = (11, 13, 17, 18, 21)
NORMS = ("none", "batch norm")
PADS = ("explicit", "auto", "pad node")
ACTIVATIONS = (
    *(
        "none",
        "relu",
        "clip from 0",
        "clip to infinity",
        "relu6",
        "hard-swish",
        "hard-swish by div",
        "hard-swish by mul",
    ),
    *("hard-swish", "hard-swish by div", "hard-swish by mul", "hard-swish of hard-sigmoid"),
)
POOLS = ("global", "mean by attribute", "mean by input")
FLATS = ("flatten", "reshape", "computed reshape", "squeeze")
HEADS = ("gemm", "transposed gemm", "matmul", "matmul and add")


class Dialect:
    """Collects the nodes of one classifier."""

    def __init__(self, opset: int, seed: int) -> None:
        self.opset, self.rng = opset, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def number(self, value: float) -> str:
        return self.const(np.float32(value))

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"n{len(self.nodes)}", **attributes))
        return name

    def floats(self, *shape: int) -> np.ndarray:
        return (self.rng.normal(size=shape) / np.sqrt(max(np.prod(shape[1:]), 1))).astype(np.float32)

    def conv(self, x: str, channels: int, out: int, norm: str, pad: str) -> str:
        weights = [self.const(self.floats(out, channels, 3, 3))]
        weights += [self.const(self.floats(out))] if self.rng.integers(2) else []
        if pad == "pad node" and self.opset >= 11:
            x = self.node("Pad", [x, self.const(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))])
            x = self.node("Conv", [x, *weights])
        elif pad == "auto":
            x = self.node("Conv", [x, *weights], auto_pad="SAME_UPPER")
        else:
            x = self.node("Conv", [x, *weights], pads=[1, 1, 1, 1])
        if norm == "batch norm":
            values = [self.floats(out) + 1, self.floats(out), self.floats(out), np.abs(self.floats(out)) + 0.5]
            x = self.node("BatchNormalization", [x, *(self.const(value.astype(np.float32)) for value in values)])
        return x

    def clip(self, x: str, low: float | None, high: float | None) -> str:
        return self.node("Clip", [x, *("" if bound is None else self.number(bound) for bound in (low, high))])

    def act(self, x: str, kind: str) -> str:
        if kind == "none":
            return x
        if kind in ("clip from 0", "clip to infinity"):
            return self.clip(x, 0.0, None if kind == "clip from 0" else np.inf)
        if kind == "relu6":
            return self.clip(x, 0.0, 6.0)
        if kind in ("relu", "sigmoid"):
            return self.node(kind.capitalize(), [x])
        if kind == "swish":
            return self.node("Mul", [x, self.node("Sigmoid", [x])])
        if kind == "hard-swish of hard-sigmoid":
            return self.node("Mul", [x, self.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])
        if kind == "hard-swish" and self.opset >= 14:
            return self.node("HardSwish", [x])
        clipped = self.clip(self.node("Add", [x, self.number(3)]), 0.0, 6.0)
        if kind == "hard-swish by mul":
            return self.node("Mul", [x, self.node("Mul", [clipped, self.number(1 / 6)])])
        return self.node("Div", [self.node("Mul", [x, clipped]), self.number(6)])

    def pool(self, x: str, kind: str) -> str:
        if kind == "mean by input" and self.opset >= 18:
            return self.node("ReduceMean", [x, self.const(np.array([2, 3], np.int64))])
        if kind == "mean by attribute" and self.opset < 18:
            return self.node("ReduceMean", [x], axes=[2, 3])
        return self.node("GlobalAveragePool", [x])

    def flat(self, x: str, kind: str, channels: int) -> str:
        if kind == "reshape":
            return self.node("Reshape", [x, self.const(np.array([-1, channels], np.int64))])
        if kind == "squeeze" and self.opset >= 13:
            return self.node("Squeeze", [x, self.const(np.array([2, 3], np.int64))])
        if kind == "computed reshape":
            first = self.node("Gather", [self.node("Shape", [x]), self.const(np.array([0], np.int64))])
            rest = self.const(np.array([-1], np.int64))
            return self.node("Reshape", [x, self.node("Concat", [first, rest], axis=0)])
        return self.node("Flatten", [x])

    def head(self, x: str, kind: str, channels: int) -> str:
        weight, bias = self.floats(channels, CLASSES), self.const(self.floats(CLASSES))
        if kind == "gemm":
            return self.node("Gemm", [x, self.const(weight), bias])
        if kind == "transposed gemm":
            return self.node("Gemm", [x, self.const(np.ascontiguousarray(weight.T)), bias], transB=1)
        made = self.node("MatMul", [x, self.const(weight)])
        return made if kind == "matmul" else self.node("Add", [made, bias])

    def model(self, output: str, batch: int | str) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "scores"
        assert output == f"t{len(self.nodes) - 1}"
        graph = helper.make_graph(
            self.nodes,
            "dialect",
            [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, CLASSES])],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def artifact(path: Path) -> Artifact:
    return Artifact(
        stage_id="above", kind="train", format=Format.ONNX, path=path, sha256=sha256_file(path),
        size_bytes=path.stat().st_size, spec=None, metrics={},
    )  # fmt: skip


def all_close(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(found - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max())))


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_what_one_verb_takes_the_other_takes(tmp_path_factory, runs, data: st.DataObject):
    def one_of(name: str, choices: tuple[Any, ...]) -> Any:
        return data.draw(st.sampled_from(choices), name)

    run_onnx, run_tflite = runs
    b = Dialect(one_of("opset", OPSETS), data.draw(st.integers(0, 99), "seed"))
    x, channels = "data", 3
    for _ in range(one_of("layers", (1, 2))):
        x = b.act(b.conv(x, channels, 4, one_of("norm", NORMS), one_of("pad", PADS)), one_of("activation", ACTIVATIONS))
        channels = 4
    x = b.flat(b.pool(x, one_of("pool", POOLS)), one_of("flat", FLATS), channels)
    model = b.model(b.head(x, one_of("head", HEADS), channels), one_of("batch", (1, "N")))
    path = tmp_path_factory.mktemp("dialect") / "foreign.onnx"
    onnx.save(model, path)
    images = np.random.default_rng(7).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)
    wanted = run_onnx(model, images)
    exported = read_source(artifact(path), ExportConfig(format="onnx", preprocess=PREPROCESS)).model
    quantized, _ = float_graph(artifact(path), PREPROCESS)
    assert all_close(run_onnx(exported, images), wanted)
    assert all_close(run_onnx(quantized, images), wanted)
    assert all_close(run_tflite(lower(exported).data, images)[0], wanted)


@pytest.mark.parametrize("op", ["Softplus", "Erf", "Tanh"])
def test_what_one_verb_refuses_the_other_refuses(tmp_path, op):
    b = Dialect(17, 0)
    x = b.conv("data", 3, 4, "none", "explicit")
    x = b.flat(b.pool(b.node(op, [x]), "global"), "flatten", 4)
    path = tmp_path / "foreign.onnx"
    onnx.save(b.model(b.head(x, "gemm", 4), 1), path)
    with pytest.raises(ImgcError, match=op) as quantize:
        float_graph(artifact(path), PREPROCESS)
    with pytest.raises(ImgcError, match=op) as export:
        lower(read_source(artifact(path), ExportConfig(format="tflite", preprocess=PREPROCESS)).model)
    assert all("'n1'" in caught.value.message for caught in (quantize, export)), "the node has the user's name"
