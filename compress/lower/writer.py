"""`Writer`: tensors and operators in, TFLite bytes out. Knows the flatbuffer, nothing of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compress.errors import CheckError
from compress.graph.grids import Quant
from compress.graph.proto import Array
from compress.runtime.tflite_meta import pack, schema

SIGNATURE_KEY = "serving_default"
INPUT_KEY = "images"
OUTPUT_KEY = "logits"
_SCHEMA_VERSION = 3
_LEGACY_CODES = 127  # operator codes up to here are also written in the old, one-byte field
# The least version of an operator's definition that knows int8, per TensorFlow's register.cc; all others are 1.
_INT8_VERSION = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "ADD": 2, "MUL": 2, "SUB": 2, "MEAN": 2,
    "MAX_POOL_2D": 2, "AVERAGE_POOL_2D": 2, "CONCATENATION": 2, "PAD": 2, "PADV2": 2,
    "SOFTMAX": 2, "LOGISTIC": 2, "RELU": 2, "RELU6": 2,
    "TRANSPOSE": 2, "DEQUANTIZE": 2, "QUANTIZE": 2, "STRIDED_SLICE": 2, "LEAKY_RELU": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2, "RESIZE_BILINEAR": 2,
}  # fmt: skip
_OPTIONS = {
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions", "DIV": "DivOptions", "MEAN": "ReducerOptions",
    "MAX_POOL_2D": "Pool2DOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "CONCATENATION": "ConcatenationOptions",
    "SOFTMAX": "SoftmaxOptions", "PAD": "PadOptions", "PADV2": "PadV2Options", "RESHAPE": "ReshapeOptions",
    "QUANTIZE": "QuantizeOptions", "DEQUANTIZE": "DequantizeOptions", "TRANSPOSE": "TransposeOptions",
    "MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions", "HARD_SWISH": "HardSwishOptions",
    "STRIDED_SLICE": "StridedSliceOptions", "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "LOCAL_RESPONSE_NORMALIZATION": "LocalResponseNormalizationOptions", "LEAKY_RELU": "LeakyReluOptions",
    "GELU": "GeluOptions", "BATCH_MATMUL": "BatchMatMulOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions", "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "GATHER": "GatherOptions",
}  # fmt: skip


class Writer:
    """Collects one subgraph and packs it."""

    def __init__(self) -> None:
        """Start with the empty buffer 0, which means: no constant data."""
        self._tfl = schema()
        self._buffers: list[Any] = [self._tfl.BufferT()]
        self._codes: dict[tuple[str, int], int] = {}
        self._customs: set[str] = set()
        self._names: set[str] = set()
        self._types = {
            np.dtype(np.float32): self._tfl.TensorType.FLOAT32,
            np.dtype(np.float16): self._tfl.TensorType.FLOAT16,
            np.dtype(np.int8): self._tfl.TensorType.INT8,
            np.dtype(np.int32): self._tfl.TensorType.INT32,
        }
        self.tensors: list[Any] = []
        self.operators: list[Any] = []

    def activation(self, name: str, shape: Sequence[int], quant: Quant | None) -> int:
        """Add a tensor that is computed: int8 with `quant`, else float32. Returns its index."""
        return self._tensor(name, shape, np.dtype(np.int8 if quant else np.float32), quant, 0)

    def constant(self, name: str, data: Array, quant: Quant | None = None) -> int:
        """Add a constant (float32, float16, int8 or int32, in TFLite's layout). Returns its index."""
        buffer = self._tfl.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._tensor(name, data.shape, data.dtype, quant, len(self._buffers) - 1)

    def operator(
        self, code: str, inputs: Sequence[int], output: int, options: Mapping[str, int | float | bool] | None = None
    ) -> None:
        """Add an operator with one output.

        Args:
            code: name in `BuiltinOperator`.
            inputs: tensor indices.
            output: tensor index.
            options: fields of the operator's options table.
        """
        tfl = self._tfl
        op = tfl.OperatorT()
        op.inputs = list(inputs)
        op.outputs = [output]
        op.opcodeIndex = self._code(code, self._version(code, [*inputs, output]))
        if table := _OPTIONS.get(code):
            op.builtinOptionsType = getattr(tfl.BuiltinOptions, table)
            op.builtinOptions = getattr(tfl, f"{table}T")()
            for field, value in (options or {}).items():
                setattr(op.builtinOptions, field, value)
        self.operators.append(op)

    def custom(self, code: str, inputs: Sequence[int], outputs: Sequence[int], options: bytes) -> None:
        """Add an operator that is no builtin.

        Args:
            code: what runtimes know it by.
            inputs: tensor indices.
            outputs: tensor indices.
            options: as its kernel reads them.
        """
        op = self._tfl.OperatorT()
        op.inputs, op.outputs = list(inputs), list(outputs)
        op.opcodeIndex = self._code(code, 1)
        op.customOptions = np.frombuffer(options, np.uint8)
        self._customs.add(code)
        self.operators.append(op)

    def finish(self, inputs: Mapping[str, int], outputs: Mapping[str, int], description: str) -> bytes:
        """Return the file with its signature `serving_default`; inputs and outputs are tensor indices by their name."""
        tfl = self._tfl
        graph = tfl.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self.tensors, self._read_by(set(outputs.values()))
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        model = tfl.ModelT()
        model.version = _SCHEMA_VERSION
        model.description = description
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [self._code_table(code, version) for code, version in self._codes]
        signature = tfl.SignatureDefT()
        signature.signatureKey = SIGNATURE_KEY
        signature.inputs = [self._signature_tensor(*entry) for entry in inputs.items()]
        signature.outputs = [self._signature_tensor(*entry) for entry in outputs.items()]
        signature.subgraphIndex = 0
        model.signatureDefs = [signature]
        return pack(model)

    def _read_by(self, wanted: set[int]) -> list[Any]:
        """Return the operators that these tensors depend on, in order; others were written and then not needed."""
        kept = []
        for op in reversed(self.operators):
            if wanted.intersection(op.outputs):
                kept.append(op)
                wanted |= set(op.inputs)
        return kept[::-1]

    def _tensor(
        self, name: str, shape: Sequence[int], dtype: np.dtype[np.generic], quant: Quant | None, buffer: int
    ) -> int:
        if dtype not in self._types:
            raise CheckError(f"tensor '{name}': type {dtype}, allowed {', '.join(map(str, self._types))}")
        tensor = self._tfl.TensorT()
        tensor.name = self._unique(name)
        tensor.shape = np.array(shape, np.int32)
        tensor.type = self._types[dtype]
        tensor.buffer = buffer
        tensor.hasRank = True
        if quant is not None:
            tensor.quantization = self._quantization(quant)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _quantization(self, quant: Quant) -> Any:  # noqa: ANN401 - generated classes have no types
        table = self._tfl.QuantizationParametersT()
        table.scale = np.asarray(quant.scale, np.float32)
        table.zeroPoint = np.asarray(quant.zero_point, np.int64)
        table.quantizedDimension = quant.axis if quant.per_channel else 0
        return table

    def _unique(self, name: str) -> str:
        """Return the name, with a number where it is taken: tools that look tensors up by name need that."""
        candidate, number = name, 1
        while candidate in self._names:
            candidate, number = f"{name};{number}", number + 1
        self._names.add(candidate)
        return candidate

    def _version(self, code: str, indices: Sequence[int]) -> int:
        kinds = {self.tensors[index].type for index in indices if index >= 0}
        if self._tfl.TensorType.INT8 in kinds:
            return _INT8_VERSION.get(code, 1)
        if code == "DEQUANTIZE":
            return 3  # from float16
        return 1

    def _code(self, code: str, version: int) -> int:
        return self._codes.setdefault((code, version), len(self._codes))

    def _code_table(self, code: str, version: int) -> Any:  # noqa: ANN401 - generated classes have no types
        table = self._tfl.OperatorCodeT()
        if code in self._customs:
            table.builtinCode, table.customCode = self._tfl.BuiltinOperator.CUSTOM, code
        else:
            table.builtinCode = getattr(self._tfl.BuiltinOperator, code)
        table.deprecatedBuiltinCode = min(table.builtinCode, _LEGACY_CODES)
        table.version = version
        return table

    def _signature_tensor(self, name: str, index: int) -> Any:  # noqa: ANN401 - generated classes have no types
        entry = self._tfl.TensorMapT()
        entry.name = name
        entry.tensorIndex = index
        return entry
