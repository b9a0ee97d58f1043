"""Tensors of the Open Inference Protocol, in JSON and in bytes after it: inputs to arrays, logits to outputs.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Sequence
from math import prod
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from compress.core.json_types import Json, JsonObject
from compress.core.outputs import shares
from compress.core.spec import ModelSpec
from compress.serve.oip.schema import MAX_IMAGES, InferRequest, RequestedOutput, RequestInput, excerpt, refusal

_LENGTH = struct.Struct("<I")  # before each element of a BYTES tensor
_ENVELOPE = 64  # lists and objects around the values
_BINARY_HINT = (
    "send the images after the JSON (binary_data_size and the header Inference-Header-Content-Length), "
    'or as base64 with "parameters": {"content_type": "base64"}'
)

Input = NDArray[np.float32] | list[bytes]


class OutputTensor(TypedDict):
    """One output of an answer: its values are in `data`, or behind the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: NotRequired[dict[str, int]]
    data: NotRequired[list[str] | list[float]]


def max_containers(input_chw: tuple[int, int, int]) -> int:
    """Return how many lists and objects a request may hold: those of a nested tensor of the most images, and around."""
    channels, height, _ = input_chw
    return MAX_IMAGES * (1 + channels * (1 + height)) + _ENVELOPE


def read_input(request: InferRequest, blob: bytes, input_chw: tuple[int, int, int]) -> Input:
    """Return the one input of a request: images_NCHW f32, all finite, or the N encoded images.

    Args:
        request: the JSON of the request.
        blob: what follows the JSON.
        input_chw: what the model takes.

    Raises:
        RequestError: 400, saying what was found and what is allowed.
    """
    (tensor,) = request.inputs
    binary = _binary(tensor, blob)
    if tensor.name == "images":
        return _pixels_of(tensor, binary, input_chw)
    return _encoded_images(tensor, binary)


def _binary(tensor: RequestInput, blob: bytes) -> bytes | None:
    """Return the tensor's bytes; None: its values are in `data`."""
    size = tensor.parameters.binary_data_size
    if (size is None) == (tensor.data is None):
        both = "neither" if size is None else "both"
        raise refusal(f"input '{tensor.name}' has {both} of data and binary_data_size; allowed: one of them")
    if size is None and not blob:
        return None
    if size != len(blob):
        said = "no binary_data_size" if size is None else f"a binary_data_size of {size}"
        raise refusal(
            f"{len(blob)} bytes follow the JSON, but input '{tensor.name}' has {said}; allowed: the same number "
            "(the header Inference-Header-Content-Length says where the JSON ends)"
        )
    return blob


def _pixels_of(tensor: RequestInput, binary: bytes | None, input_chw: tuple[int, int, int]) -> NDArray[np.float32]:
    _check_kind(tensor, "FP32", ["N", *map(str, input_chw)])
    if binary is None:
        images_NCHW = _numbers(tensor.data, tensor.shape)
    else:
        wanted = 4 * prod(tensor.shape)
        if len(binary) != wanted:
            raise refusal(f"'images' of shape {tensor.shape} came as {len(binary)} bytes; allowed: {wanted}")
        images_NCHW = np.frombuffer(binary, "<f4").astype(np.float32, copy=False).reshape(tensor.shape)
    if not np.isfinite(images_NCHW).all():
        raise refusal("'images' holds values that are NaN, infinite or beyond FP32; allowed: finite numbers")
    return images_NCHW


def _check_kind(tensor: RequestInput, datatype: str, shape: list[str]) -> None:
    """Refuse another datatype or shape; the first of `shape` is N, the others are decimal numbers."""
    if tensor.datatype != datatype:
        raise refusal(f"input '{tensor.name}' is {tensor.datatype}; allowed: {datatype}")
    if [str(length) for length in tensor.shape[1:]] != shape[1:] or not 1 <= tensor.shape[0] <= MAX_IMAGES:
        allowed = f"[{', '.join(shape)}] with N of 1 to {MAX_IMAGES}"
        raise refusal(f"input '{tensor.name}' has the shape {excerpt(tensor.shape)}; allowed: {allowed}")


def _numbers(data: object, shape: list[int]) -> NDArray[np.float32]:
    """Return JSON numbers, flat or nested as the shape, as f32; beyond its range they are infinite."""
    target = np.empty(shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        if isinstance(data, list) and data and not isinstance(data[0], list):
            if len(data) != target.size:
                raise refusal(f"'images' of shape {shape} has {len(data)} values in data; allowed: {target.size}")
            width = shape[-1]  # by rows, so that other threads get their turns
            _fill(target.reshape(-1, width), [data[i : i + width] for i in range(0, len(data), width)])
        else:
            _fill(target, data)
    return target


def _fill(target: NDArray[np.float32], data: object) -> None:
    if not isinstance(data, list) or len(data) != len(target):
        raise refusal(f"data of 'images' has {_size(data)} where the shape asks for a list of {len(target)}")
    if target.ndim > 1:
        for part, item in zip(target, data, strict=True):
            _fill(part, item)
        return
    wrong = set(map(type, data)) - {int, float}
    if wrong:
        value = next(item for item in data if type(item) in wrong)
        raise refusal(f"data of 'images' holds {excerpt(value)}; allowed: numbers")
    target[:] = data


def _size(data: object) -> str:
    return f"a list of {len(data)}" if isinstance(data, list) else excerpt(data)


def _encoded_images(tensor: RequestInput, binary: bytes | None) -> list[bytes]:
    _check_kind(tensor, "BYTES", ["N"])
    count = tensor.shape[0]
    bodies = _from_base64(tensor, count) if binary is None else split(binary, count)
    if not all(bodies):
        raise refusal(f"element {bodies.index(b'')} of 'image_bytes' is empty; allowed: an encoded image")
    return bodies


def _from_base64(tensor: RequestInput, count: int) -> list[bytes]:
    if tensor.parameters.content_type != "base64":
        raise refusal(f"'image_bytes' came as texts, which cannot hold the bytes of an image; {_BINARY_HINT}")
    data = tensor.data
    if not isinstance(data, list) or len(data) != count:
        raise refusal(f"data of 'image_bytes' has {_size(data)} where the shape asks for a list of {count}")
    bodies = []
    for index, text in enumerate(data):
        try:
            bodies.append(b64decode(text, validate=True))
        except (TypeError, ValueError):
            raise refusal(f"element {index} of 'image_bytes' is {excerpt(text)}; allowed: base64") from None
    return bodies


def split(binary: bytes, count: int) -> list[bytes]:
    """Return the `count` elements of a BYTES tensor: each is its length, 4 bytes little-endian, and its bytes.

    Raises:
        RequestError: 400 an element that ends after the tensor, or bytes after the last element.
    """
    elements = []
    at = 0
    for index in range(count):
        begin = at + _LENGTH.size
        if begin > len(binary):
            raise refusal(f"'image_bytes' ends before element {index} of {count}")
        (length,) = _LENGTH.unpack_from(binary, at)
        at = begin + length
        if at > len(binary):
            raise refusal(
                f"element {index} of 'image_bytes' says it has {length} bytes; there are {len(binary) - begin}"
            )
        elements.append(binary[begin:at])
    if at != len(binary):
        raise refusal(f"{len(binary) - at} bytes follow the last of the {count} elements of 'image_bytes'; allowed: 0")
    return elements


def join(elements: Sequence[str]) -> bytes:
    """Return the bytes of a BYTES tensor of texts."""
    encoded = [element.encode() for element in elements]
    return b"".join(_LENGTH.pack(len(element)) + element for element in encoded)


def outputs_of(spec: ModelSpec) -> dict[str, list[int]]:
    """Return the outputs that a model may be asked for: name -> shape of those of one image."""
    if spec.boxes is None:
        return {"logits": [spec.num_classes], "probabilities": [spec.num_classes]}
    anchors = spec.boxes.anchors
    return {"boxes": [anchors, 4], "logits": [anchors, spec.boxes.columns(spec.num_classes)]}


def ports_of(spec: ModelSpec) -> JsonObject:
    """Return inputs and outputs as a model's metadata name them."""
    inputs: list[Json] = [{"name": "images", "datatype": "FP32", "shape": [-1, *spec.input_chw]}]
    if spec.boxes is None:
        inputs.append({"name": "image_bytes", "datatype": "BYTES", "shape": [-1]})
    outputs: list[Json] = [
        {"name": name, "datatype": "FP32", "shape": [-1, *shape]} for name, shape in outputs_of(spec).items()
    ]
    return {"inputs": inputs, "outputs": outputs}


def _values(given: tuple[NDArray[np.float32], ...], spec: ModelSpec) -> dict[str, NDArray[np.float32]]:
    if spec.boxes is not None:
        return dict(zip(("boxes", "logits"), given, strict=True))
    return {"logits": given[0], "probabilities": shares(given[0], spec.outputs).astype(np.float32)}


def write_outputs(
    request: InferRequest, given: tuple[NDArray[np.float32], ...], spec: ModelSpec
) -> tuple[list[OutputTensor], bytes]:
    """Return the `outputs` of an answer, and what follows its JSON. All numbers must be finite.

    Args:
        request: which outputs, and how; by default the model's own.
        given: logits_NK; or a detector's boxes [N, A, 4] and logits [N, A, K].
        spec: of the model.

    Raises:
        RequestError: 400 classes are asked of a detector's numbers.
    """
    outputs, blobs = [], []
    values = _values(given, spec)
    own = ["boxes", "logits"] if spec.boxes else ["logits"]
    for wanted in request.outputs or [RequestedOutput.model_validate({"name": name}) for name in own]:
        values_NK = values[wanted.name]
        top_k = wanted.parameters.classification
        if top_k is None:
            texts, shape = None, list(values_NK.shape)
        elif spec.boxes is not None:
            raise refusal(f"output '{wanted.name}': classification is for models that name images")
        else:
            rows = [classes(values_K, top_k, spec.labels) for values_K in values_NK]
            texts, shape = [text for row in rows for text in row], [len(rows), len(rows[0])]
        output: OutputTensor = {"name": wanted.name, "shape": shape, "datatype": "FP32" if texts is None else "BYTES"}
        binary = wanted.parameters.binary_data
        if request.parameters.binary_data_output if binary is None else binary:
            blob = values_NK.astype("<f4").tobytes() if texts is None else join(texts)
            output["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            output["data"] = values_NK.ravel().tolist() if texts is None else texts
        outputs.append(output)
    return outputs, b"".join(blobs)


def classes(values_K: NDArray[np.float32], top_k: int, labels: Sequence[str]) -> list[str]:
    """Return "score:index:label" of the `top_k` greatest values (all, when there are fewer), greatest first."""
    order = np.argsort(-values_K, kind="stable")[:top_k]
    return [f"{values_K[i]!s}:{i}:{labels[i]}" for i in order]
