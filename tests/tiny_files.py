"""Tiny model files: mean over the image, then one fully connected layer. Their answers are known by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder
from onnx import TensorProto, helper, numpy_helper

from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.runtime.tflite_meta import embed_spec

SIDE = 16
WEIGHT_KC = np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -1.0], [-1.0, 0.25, 0.5], [0.0, 0.5, 1.0]], dtype=np.float32)
PREPROCESS = Preprocess(resize_px=SIDE, crop_px=SIDE)


class Tiny:
    """Makes the files in a folder; `shape` and `weight_KC` spoil them for tests of errors."""

    side = SIDE
    weight_KC = WEIGHT_KC
    int8_input = (1 / 32, 3)  # scale, zero point
    int8_weight = 1 / 64  # scale
    int8_output = (1 / 16, -5)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def spec(self, **changes: Any) -> ModelSpec:
        values = {"arch": "tiny", "labels": tuple("abcd"), "input_chw": (3, SIDE, SIDE), "preprocess": PREPROCESS}
        return ModelSpec(**{**values, **changes})

    def images(self, count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(count, 3, SIDE, SIDE)) * 0.2
        return (noise + rng.normal(size=(count, 3, 1, 1))).astype(np.float32)

    def expected(self, images_NCHW: np.ndarray) -> np.ndarray:
        return images_NCHW.mean(axis=(2, 3)) @ WEIGHT_KC.T

    def onnx(
        self,
        name: str = "model.onnx",
        *,
        batch: int | str = "N",
        spec: ModelSpec | None = None,
        weight_KC: np.ndarray = WEIGHT_KC,
        shape: Sequence[int | str] | None = None,
    ) -> Path:
        nodes = [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape or [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, len(weight_KC)])],
            [numpy_helper.from_array(weight_KC.astype(np.float32), "weight")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        if spec is not None:
            model.metadata_props.add(key=SPEC_KEY, value=spec.model_dump_json())
        path = self.folder / name
        onnx.save(model, str(path))
        return path

    def tflite(
        self, name: str = "model.tflite", *, int8: bool = False, batch: int = 1, spec: ModelSpec | None = None
    ) -> Path:
        """Write MEAN over H and W, then FULLY_CONNECTED."""
        builder = Builder(1024)
        builder.Finish(self._tflite_model(int8, batch).Pack(builder), b"TFL3")
        data = bytes(builder.Output())
        path = self.folder / name
        path.write_bytes(data if spec is None else embed_spec(data, spec))
        return path

    def of_kind(self, kind: str, **changes: Any) -> Path:
        """Write a file of a kind such as "onnx", "onnx batch 2" or "tflite int8"; `changes` are of its spec."""
        batch = 2 if "batch 2" in kind else None
        if kind.startswith("onnx"):
            return self.onnx(batch=batch or "N", spec=self.spec(**changes))
        return self.tflite(int8="int8" in kind, batch=batch or 1, spec=self.spec(**{"layout": "NHWC", **changes}))

    def _tflite_model(self, int8: bool, batch: int) -> Any:
        kind = schema.TensorType.INT8 if int8 else schema.TensorType.FLOAT32
        weight = np.rint(WEIGHT_KC / self.int8_weight).astype(np.int8) if int8 else WEIGHT_KC
        axes = np.array([1, 2], np.int32)
        model = schema.ModelT()
        model.version = 3
        model.buffers = [_buffer(None), _buffer(axes), _buffer(weight)]
        graph = schema.SubGraphT()
        graph.inputs, graph.outputs, graph.name = [0], [4], "tiny"
        grids = [self.int8_input, None, self.int8_input, (self.int8_weight, 0), self.int8_output]
        shapes = [[batch, SIDE, SIDE, 3], [2], [batch, 3], [4, 3], [batch, 4]]
        kinds = [kind, schema.TensorType.INT32, kind, kind, kind]
        names = ["images", "axes", "pooled", "weight", "logits"]
        buffers = [0, 1, 0, 2, 0]
        rows = zip(names, shapes, kinds, buffers, grids if int8 else [None] * 5, strict=True)
        graph.tensors = [_tensor(*row) for row in rows]
        options = schema.BuiltinOptions
        graph.operators = [
            _op(0, [0, 1], [2], schema.ReducerOptionsT(), options.ReducerOptions),
            _op(1, [2, 3, -1], [4], schema.FullyConnectedOptionsT(), options.FullyConnectedOptions),
        ]
        model.subgraphs = [graph]
        codes = schema.BuiltinOperator
        model.operatorCodes = [_code(codes.MEAN, 2 if int8 else 1), _code(codes.FULLY_CONNECTED, 4 if int8 else 1)]
        return model


def _buffer(values: np.ndarray | None) -> Any:
    buffer = schema.BufferT()
    if values is not None:
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return buffer


def _tensor(name: str, shape: list[int], kind: int, buffer: int, grid: tuple[float, int] | None) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, buffer
    if grid is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [grid[0]], [grid[1]]
    return tensor


def _op(code: int, inputs: list[int], outputs: list[int], options: Any, kind: int) -> Any:
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = code, inputs, outputs
    op.builtinOptions, op.builtinOptionsType = options, kind
    return op


def _code(code: int, version: int) -> Any:
    operator = schema.OperatorCodeT()
    operator.builtinCode = operator.deprecatedBuiltinCode = code
    operator.version = version
    return operator


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)
