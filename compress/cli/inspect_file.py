"""What a model file holds, without running it: spec, operators, bytes of weights by number type."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from compress.cli.inspect_ports import FilePort, onnx_ports, onnx_prospects, tflite_ports
from compress.core.formats import Format, format_of
from compress.core.onnx_file import sha256_model
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.errors import ModelFileError


class FileFacts(BaseModel):
    """What `imgc inspect` shows.

    Attributes:
        ops: operator name -> how often; empty for torch files, which hold weights only.
        weight_bytes: number type -> bytes of constant tensors of that type.
        spec: None for a file of another tool.
        inputs: of the graph; none of torch files.
        outputs: likewise.
        outputs_are: what the numbers are that it answers with: logits, probabilities or scores.
        prospects: what it can become -> "yes", or what stops it.
    """

    path: Path
    format: Format
    size_bytes: int
    sha256: str
    ops: dict[str, int]
    weight_bytes: dict[str, int]
    spec: ModelSpec | None
    inputs: list[FilePort] = []
    outputs: list[FilePort] = []
    outputs_are: str | None = None
    prospects: dict[str, str] = {}


@dataclass(frozen=True)
class _Content:
    """What a reader found; fields as in `FileFacts`."""

    ops: list[str]
    weight_bytes: Counter[str]
    spec: ModelSpec | None
    inputs: list[FilePort] = field(default_factory=list)
    outputs: list[FilePort] = field(default_factory=list)
    outputs_are: str | None = None
    prospects: dict[str, str] = field(default_factory=dict)


def inspect_file(path: Path) -> FileFacts:
    """Return the facts of a .safetensors, .onnx or .tflite file.

    Raises:
        ModelFileError: no such file, another kind of file, or damaged.
    """
    fmt = format_of(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file", hint="the artifacts of a run are listed in its run.lock.json")
    if path.stat().st_size == 0:
        raise ModelFileError(f"{path}: the file is empty (0 bytes)", hint=_HINT)
    try:
        content = _READERS[fmt](path)
    except (ModelFileError, ImportError):
        raise
    except Exception as error:  # parsers of damaged files raise nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise ModelFileError(f"{path}: damaged or not a {fmt.value} file: {reason}", hint=_HINT) from error
    return FileFacts(
        path=path,
        format=fmt,
        size_bytes=path.stat().st_size,
        sha256=sha256_model(path),
        ops=dict(Counter(content.ops).most_common()),
        weight_bytes=dict(content.weight_bytes.most_common()),
        spec=content.spec,
        inputs=content.inputs,
        outputs=content.outputs,
        outputs_are=content.outputs_are,
        prospects=content.prospects,
    )


def _read_torch(path: Path) -> _Content:
    """Read the safetensors header alone: 8 bytes of length, then JSON. Needs no torch."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > path.stat().st_size:
            raise ModelFileError(f"{path}: damaged, its header claims {length} bytes of a smaller file")
        header = json.loads(file.read(length))
        held = path.stat().st_size - 8 - length
    _require_tensors(header, held, path)
    text = header.pop("__metadata__", {}).get(SPEC_KEY)
    sizes: Counter[str] = Counter()
    for tensor in header.values():
        begin, end = tensor["data_offsets"]
        sizes[_NAMES.get(tensor["dtype"], tensor["dtype"].lower())] += end - begin
    return _Content([], sizes, ModelSpec.model_validate_json(text) if text else None)


def _require_tensors(header: dict[str, Any], held: int, path: Path) -> None:
    """Raise where the tensors of a header do not lie one behind the other in the bytes that follow it.

    Format: https://huggingface.co/docs/safetensors, "Format".
    """
    end = 0
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    for name, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        bits = _BITS.get(entry["dtype"], 0)
        begin, end_claimed = entry["data_offsets"]
        size = math.prod(entry["shape"]) * bits // 8
        if not bits:
            raise ModelFileError(f"{path}: tensor '{name}' is of type {entry['dtype']}, which there is not", hint=_HINT)
        if begin != end or end_claimed - begin != size or min([0, *entry["shape"]]) < 0:
            raise ModelFileError(
                f"{path}: tensor '{name}' of shape {entry['shape']}, {entry['dtype']}, is said to lie in bytes {begin} "
                f"to {end_claimed}; the one before it ends at {end}, and it needs {size}",
                hint=_HINT,
            )
        end = end_claimed
    if end != held:
        raise ModelFileError(f"{path}: damaged, {end} bytes of tensors are claimed, {held} are there", hint=_HINT)


_HINT = "copy or make the file again: the writer or the copy was interrupted"
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4,
}  # fmt: skip
_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8", "I32": "int32", "I64": "int64"}


def _read_onnx(path: Path) -> _Content:
    import onnx

    from compress.graph.metadata import spec_of
    from compress.graph.proto import load, output_kind

    model = load(path)
    if not model.graph.node:  # protobuf reads no bytes at all as a message
        raise ModelFileError(f"{path}: damaged or not an onnx file: no operator in it")
    sizes: Counter[str] = Counter()
    for tensor in model.graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = 1
        for side in tensor.dims:
            count *= side
        sizes[dtype.name] += count * dtype.itemsize
    inputs, outputs = onnx_ports(model)
    return _Content(
        ops=[node.op_type for node in model.graph.node],
        weight_bytes=sizes,
        spec=spec_of(model, path),
        inputs=inputs,
        outputs=outputs,
        outputs_are=output_kind(model),
        prospects=onnx_prospects(path),
    )


def _read_tflite(path: Path) -> _Content:
    from ai_edge_litert import schema_py_generated as schema

    from compress.runtime.tflite_meta import read_spec

    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ModelFileError(f"{path}: damaged or not a tflite file: no 'TFL3' mark")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    op_names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    type_names = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    ops = [op_names.get(codes[op.opcodeIndex], "CUSTOM") for graph in model.subgraphs for op in graph.operators]
    sizes: Counter[str] = Counter()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            constant = model.buffers[tensor.buffer].data
            if constant is not None:
                sizes[type_names.get(tensor.type, "other")] += len(constant)
    inputs, outputs = tflite_ports(model, type_names)
    prospects = {"int8": "no: a TFLite file is final; quantize the ONNX or torch file it was made from"}
    return _Content(ops, sizes, read_spec(data), inputs, outputs, prospects=prospects)


_READERS = {Format.TORCH: _read_torch, Format.ONNX: _read_onnx, Format.TFLITE: _read_tflite}
