"""The bytes of an ONNX file with its weights in them, also where they lie in files beside it.

One rule for such external data: the files lie in the model's folder or below it, and count as a part of the model: they
are read once, with it, and its hash covers them. Whether there are any is read from protobuf's wire format
(https://protobuf.dev/programming-guides/encoding/), so that a server needs no onnx for a model that has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from compress.core.digest import sha256_bytes, sha256_file
from compress.core.formats import Format, format_of
from compress.core.names import is_inside
from compress.core.outputs import OutputKind, kind_of
from compress.core.regular_file import read_regular
from compress.errors import ModelFileError, missing_backend

MAX_ONNX_BYTES = 2 << 30  # protobuf's own bound of a message
_MAX_DEPTH = 100  # of messages inside each other: protobuf reads no deeper
_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)  # wire types

# message -> number of a field -> message in it: where onnx.proto3 can hold a tensor
_HOLDS = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
}
_METADATA = 14  # field of ModelProto: entries of key and value
_DATA_LOCATION, _EXTERNAL = 14, 1  # field of TensorProto, and its value


def onnx_bytes(path: Path) -> bytes:
    """Return an ONNX file as one message that needs no other file.

    Raises:
        OSError: the file cannot be read.
        ModelFileError: its external data are not there, or lie outside its folder.
        BackendMissingError: it has external data, and onnx is not installed.
    """
    data = read_regular(path, MAX_ONNX_BYTES)
    return _with_external_data(data, path) if has_external_data(data) else data


def sha256_model(path: Path) -> str:
    """Return the SHA-256 of a model file; it covers the external data of an ONNX file.

    Raises:
        OSError: the file cannot be read.
        ModelFileError: as `onnx_bytes` raises it.
    """
    return sha256_bytes(onnx_bytes(path)) if format_of(path) is Format.ONNX else sha256_file(path)


def output_kind(data: bytes) -> OutputKind:
    """Return what the first output of a serialized model is; logits for what is no such message."""
    try:
        graphs = [value for number, value in _fields(memoryview(data)) if number == 7]
        return _kind_in(graphs[0]) if graphs and isinstance(graphs[0], memoryview) else "logits"
    except (IndexError, ValueError):
        return "logits"


def metadata_of(data: bytes) -> dict[str, str]:
    """Return the metadata of a serialized model; empty for what is no such message."""
    try:
        pairs = [
            list(_fields(value))
            for number, value in _fields(memoryview(data))
            if number == _METADATA and isinstance(value, memoryview)
        ]
        return {_entry(pair, 1): _entry(pair, 2) for pair in pairs}
    except (IndexError, ValueError):
        return {}


def _entry(fields: list[tuple[int, int | memoryview]], wanted: int) -> str:
    return next((_text(value) for number, value in fields if number == wanted), "")


def _kind_in(graph: memoryview) -> OutputKind:
    makers: dict[str, tuple[str, str]] = {}
    output = ""
    for number, part in _fields(graph):
        if number == 1 and isinstance(part, memoryview):
            fields = list(_fields(part))
            inputs, outputs, operators = ([_text(v) for n, v in fields if n == wanted] for wanted in (1, 2, 4))
            makers |= dict.fromkeys(outputs, (operators[0] if operators else "", inputs[0] if inputs else ""))
        elif number == 12 and not output and isinstance(part, memoryview):
            output = next((_text(value) for number, value in _fields(part) if number == 1), "")
    return kind_of(output, makers)


def _text(value: int | memoryview) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, memoryview) else ""


def has_external_data(data: bytes) -> bool:
    """Return whether any tensor of a serialized model lies in another file; False for what is no such message."""
    try:
        return _any_external(memoryview(data), "Model", 0)
    except (IndexError, ValueError):
        return False


def _any_external(message: memoryview, kind: str, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs too deep inside each other")
    if kind == "Tensor":
        return any(number == _DATA_LOCATION and _as_enum(value) == _EXTERNAL for number, value in _fields(message))
    holds = _HOLDS[kind]
    return any(
        _any_external(value, holds[number], depth + 1)
        for number, value in _fields(message)
        if number in holds and isinstance(value, memoryview)
    )


def _as_enum(value: int | memoryview) -> int:
    """Return a value as protobuf reads an enumeration: the low 32 bits."""
    return value & 0xFFFF_FFFF if isinstance(value, int) else 0


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number and value of each field: an integer, or the bytes of a text or message.

    Raises:
        IndexError: the message ends too early.
        ValueError: a wire type that there is not.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, at = _varint(message, at)
            yield number, value
        elif wire_type == _BYTES:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise IndexError("a field is longer than its message")
            yield number, message[at : at + size]
            at += size
        elif wire_type in (_FIXED32, _FIXED64):
            at += 4 if wire_type == _FIXED32 else 8
        elif wire_type not in (_GROUP, _GROUP_END):  # what a group holds is looked at as if it stood outside
            raise ValueError(f"wire type {wire_type}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _with_external_data(data: bytes, path: Path) -> bytes:
    try:
        import onnx
        from onnx import external_data_helper
    except ImportError as error:
        raise missing_backend("onnx", "train") from error

    model = onnx.ModelProto.FromString(data)
    folder = path.resolve().parent
    for tensor in external_data_helper._get_all_tensors(model):
        if external_data_helper.uses_external_data(tensor):
            _require_inside(external_data_helper.ExternalDataInfo(tensor).location, folder, path)
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except Exception as error:  # onnx's checker, the file system and a false length share no base class
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(f"{path}: its external data cannot be read: {reason}", hint=_COPY_BOTH) from error
    whole = bytes(model.SerializeToString())
    if has_external_data(whole):
        raise ModelFileError(f"{path}: data of a sparse tensor or a function lie in another file", hint=_COPY_BOTH)
    return whole


_COPY_BOTH = "copy the files that were written with the model into its folder, or export it again as one file"


def _require_inside(location: str, folder: Path, path: Path) -> None:
    named = folder / location
    if not is_inside(location) or not named.resolve().is_relative_to(folder):
        raise ModelFileError(f"{path}: its weights are said to lie outside its folder: '{location}'", hint=_COPY_BOTH)
    if not named.is_file():
        raise ModelFileError(f"{path}: '{location}', which holds its weights, is not beside it", hint=_COPY_BOTH)
