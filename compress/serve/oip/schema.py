"""The Open Inference Protocol's JSON as types, and the one way from a request's bytes to them."""

from __future__ import annotations

import json
from reprlib import Repr
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from compress.serve.errors import RequestError, bad_request

MAX_IMAGES = 64
MAX_DEPTH = 64
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MAX_QUOTES = 4096  # in one request: names, parameters and at most 64 texts need far fewer
_SHORT_INT = 15  # digits that a float also holds exactly; longer ones are only ever tensor values
_COMPLAINTS = 3  # told of one request

M = TypeVar("M", bound=BaseModel)


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class InputParameters(_Message):
    """How one input's values come.

    Attributes:
        binary_data_size: bytes of this tensor after the JSON (the binary tensor extension).
        content_type: "base64" where the texts in `data` are base64 of the bytes meant.
    """

    binary_data_size: Annotated[int, Field(ge=0)] | None = None
    content_type: Literal["base64"] | None = None


class RequestInput(_Message):
    """One input tensor: `images` FP32 [N,3,H,W], preprocessed, or `image_bytes` BYTES [N], encoded images."""

    name: Literal["images", "image_bytes"]
    shape: Annotated[list[int], Field(min_length=1, max_length=4)]
    datatype: Literal["FP32", "BYTES"]
    parameters: InputParameters = InputParameters()
    data: object = None


class OutputParameters(_Message):
    """How one output is wanted.

    Attributes:
        binary_data: after the JSON and not in it; unset: as the request's `binary_data_output` says.
        classification: the so many best classes as "score:index:label" in place of the numbers.
    """

    binary_data: bool | None = None
    classification: Annotated[int, Field(ge=1)] | None = None


class RequestedOutput(_Message):
    """One output tensor.

    FP32 [N,K]: `logits`, the model's answers as they are, or `probabilities`, what they mean. Of a detector its raw
    numbers: `boxes` [N,A,4] and `logits` [N,A,K].
    """

    name: Literal["logits", "probabilities", "boxes"]
    parameters: OutputParameters = OutputParameters()


class RequestParameters(_Message):
    """Parameters of the whole request; others (a client's own) are let through and mean nothing here.

    Attributes:
        binary_data_output: all outputs after the JSON, except those that say otherwise.
        timeout: microseconds, as Triton counts them, until no answer is wanted any more.
    """

    model_config = ConfigDict(extra="allow")

    binary_data_output: bool = False
    timeout: Annotated[int, Field(ge=1)] | None = None


class InferRequest(_Message):
    """The JSON of an inference request. Without `outputs`, the answer is `logits`, and a detector's `boxes`."""

    id: Annotated[str, Field(max_length=256)] | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: Annotated[list[RequestInput], Field(min_length=1, max_length=1)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=2)] = []


class ResponseParameters(_Message):
    """How one output's values come: so many bytes after the JSON."""

    binary_data_size: int


class ResponseOutput(_Message):
    """One output tensor; `data` is flat, in row-major order, and absent where the values follow the JSON."""

    name: Literal["logits", "probabilities"]
    shape: list[int]
    datatype: Literal["FP32", "BYTES"]
    parameters: ResponseParameters | None = None
    data: list[float] | list[str] | None = None


class InferResponse(_Message):
    """The JSON of an inference answer; `id` is the request's."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseOutput]


class TensorMetadata(_Message):
    """Name, type and shape of one tensor; -1 is the number of images."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(_Message):
    """What a model takes, exactly one of `inputs`, and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(_Message):
    """What serves, and which extensions of the protocol it knows."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(_Message):
    """Whether the process answers."""

    live: bool


class ServerReady(_Message):
    """Whether all models are ready."""

    ready: bool


class ModelReady(_Message):
    """Whether one model is ready."""

    name: str
    ready: bool


class IndexRequest(_Message):
    """Which models to list; `repository_name` must be empty, for there is one repository and it has no name."""

    repository_name: Literal[""] = ""
    ready: bool = False


class IndexEntry(_Message):
    """One model of the repository."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


def read_message(text: bytes, kind: type[M], max_containers: int) -> M:
    """Return the message that `text`, UTF-8 JSON, holds.

    Args:
        text: the JSON, without what follows it.
        kind: the type of the message.
        max_containers: lists and objects it may hold; an empty list takes 20 times the memory of its two characters.

    Raises:
        RequestError: 400, saying what was found and what is allowed.
    """
    found = text.count(b"[") + text.count(b"{")
    if found > max_containers:
        raise refusal(f"the JSON opens {found} lists and objects; allowed: {max_containers}")
    quotes = text.count(b'"')
    if quotes > MAX_QUOTES:
        raise refusal(f"the JSON has {quotes} quotation marks; allowed: {MAX_QUOTES}")
    if _too_deep(text):
        raise refusal(f"the JSON is nested too deeply; allowed: {MAX_DEPTH} levels")
    try:
        content = json.loads(
            text.decode(),
            # functions of Python, because the parser gives other threads no turn but inside them
            parse_float=_float,
            parse_int=_int,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except ValueError as error:  # of UTF-8, of JSON, or of ours
        raise refusal(f"the request is no JSON: {error}") from None
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise refusal("; ".join(_complaint(item, kind) for item in error.errors()[:_COMPLAINTS])) from None


def _too_deep(text: bytes) -> bool:
    """Return whether lists and objects lie more than MAX_DEPTH in each other; brackets in strings count as well.

    Requested before parsing: the parser recurses in C, and where a library has raised Python's recursion limit (onnx2tf
    does) it ends the process instead of raising RecursionError.
    """
    depth = 0
    for byte in text.translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        if depth < 0:
            return False  # no JSON: the parser says where
        if depth > MAX_DEPTH:
            return True
    return False


def refusal(message: str) -> RequestError:
    """Return 400 with words that can be sent whatever a request put into them."""
    return bad_request(message.encode("ascii", "backslashreplace").decode())


def excerpt(value: object) -> str:
    """Return a value for a message: short, whatever its size."""
    return _SHORT.repr(value)


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def _float(digits: str) -> float:
    return float(digits)


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _SHORT_INT else float(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError(f"an object names a field twice (its fields: {excerpt([name for name, _ in pairs])})")
    return content


_PARTS: dict[tuple[str, ...], type[BaseModel]] = {
    ("inputs",): RequestInput,
    ("inputs", "parameters"): InputParameters,
    ("outputs",): RequestedOutput,
    ("outputs", "parameters"): OutputParameters,
}


def _complaint(item: ErrorDetails, kind: type[BaseModel]) -> str:
    place = ".".join(str(part)[:60] for part in item["loc"]) or "the request"
    if item["type"] == "extra_forbidden":
        part = _PARTS.get(tuple(part for part in item["loc"][:-1] if isinstance(part, str)), kind)
        return f"{place}: no such field; allowed: {', '.join(part.model_fields)}"
    return f"{place}: {item['msg']} (found {excerpt(item['input'])})"
