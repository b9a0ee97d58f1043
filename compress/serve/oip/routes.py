"""The Open Inference Protocol, version 2 over REST: health, metadata and inference for its clients, as Triton has them.

Two extensions are spoken: binary tensor data and classification; of the model repository, its index.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from compress.core.json_types import JsonObject
from compress.core.spec import ModelSpec
from compress.package import VERSION
from compress.serve.core.admission import Admitted
from compress.serve.core.deadline import Deadline
from compress.serve.errors import (
    RequestError,
    bad_model_output,
    bad_request,
    deadline_passed,
    not_ready,
    too_large,
    unsupported_request_type,
)
from compress.serve.http.body import check_encoding, read_body
from compress.serve.oip.schema import IndexRequest, InferRequest, excerpt, read_message, refusal
from compress.serve.oip.tensors import Input, max_containers, outputs_of, ports_of, read_input, write_outputs

EXTENSIONS = ("binary_tensor_data", "classification")
HEADER_LENGTH = "Inference-Header-Content-Length"
MODEL_PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")

_TYPES = ("", "application/json", "application/octet-stream", "application/x-www-form-urlencoded")  # last: curl's
_INLINE_BYTES = 64 << 10  # a larger request is read, and larger logits are written, in a thread
_INDEX_BYTES = 64 << 10
_INDEX_CONTAINERS = 8
_INDEX_TIMEOUT_MS = 1000

_ENCODER = json.JSONEncoder()
T = TypeVar("T")


@dataclass(frozen=True)
class ModelInfo:
    """One served model.

    Attributes:
        name: by which requests name it.
        version: of the file that answers.
        spec: what it is and expects.
        platform: runtime and format in the protocol's manner, "onnxruntime_onnx" or "litert_tflite".
    """

    name: str
    version: str
    spec: ModelSpec
    platform: str


class Backend(Protocol):
    """What answers the requests."""

    @property
    def ready(self) -> bool:
        """Whether inference is let in."""
        ...

    def names(self) -> tuple[str, ...]:
        """Return the names of the models."""
        ...

    def model(self, name: str, version: str | None) -> ModelInfo:
        """Return the model of that name and version; None: the version that is served.

        Raises:
            RequestError: 404 no such model, or not in that version.
        """
        ...

    async def infer(
        self, model: ModelInfo, images_NCHW: NDArray[np.float32], admitted: Admitted
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the model's outputs for preprocessed, finite images_NCHW f32 (it may be read-only), N of 1 to 64.

        One, logits_NK; or a detector's boxes [N, A, 4] and logits [N, A, K].

        Raises:
            RequestError: 503 no room, 504 too late.
        """
        ...

    async def infer_bytes(self, model: ModelInfo, bodies: list[bytes], admitted: Admitted) -> NDArray[np.float32]:
        """Return logits_NK of N encoded images, N of 1 to 64, none empty; a classifier's alone.

        Raises:
            RequestError: 415 no image, 422 an image that does not decode, 503 no room, 504 too late.
        """
        ...


Admit = Callable[[Request], AbstractContextManager[Admitted]]
"""Lets an inference in by its headers and holds its place until it is answered; RequestError 400, 413, 503."""


def oip_routes(backend: Backend, admit: Admit, max_body_bytes: int) -> list[BaseRoute]:
    """Return the routes under /v2.

    They raise RequestError, which the application turns into answers, and need `state.request_id`.

    Args:
        backend: what answers.
        admit: lets an inference in.
        max_body_bytes: largest request that is read.
    """
    oip = _Handlers(backend, admit, max_body_bytes)
    routes: list[BaseRoute] = [
        Route("/v2", oip.server, methods=["GET"]),
        Route("/v2/health/live", oip.live, methods=["GET"]),
        Route("/v2/health/ready", oip.ready, methods=["GET"]),
        Route("/v2/repository/index", oip.index, methods=["POST"]),
    ]
    for path in MODEL_PATHS:
        routes += [
            Route(path, oip.model, methods=["GET"]),
            Route(f"{path}/ready", oip.model_ready, methods=["GET"]),
            Route(f"{path}/infer", oip.infer, methods=["POST"]),
        ]
    return routes


class _Handlers:
    def __init__(self, backend: Backend, admit: Admit, max_body_bytes: int) -> None:
        self._backend = backend
        self._admit = admit
        self._max_body_bytes = max_body_bytes
        self._large = asyncio.Semaphore(2)  # numbers take many times the memory of their text

    async def server(self, _: Request) -> Response:
        return JSONResponse({"name": "imgc", "version": VERSION, "extensions": EXTENSIONS})

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        self._check_ready()
        return JSONResponse({"ready": True})

    async def model(self, request: Request) -> Response:
        return JSONResponse(_metadata(self._model_of(request)))

    async def model_ready(self, request: Request) -> Response:
        model = self._model_of(request)
        self._check_ready()
        return JSONResponse({"name": model.name, "ready": True})

    async def index(self, request: Request) -> Response:
        try:
            body = await read_body(request.receive, _INDEX_BYTES, Deadline(_INDEX_TIMEOUT_MS))
        except RequestError as error:
            if error.code != "empty_body":
                raise
            body = b"{}"
        asked = read_message(body, IndexRequest, _INDEX_CONTAINERS)
        ready = self._backend.ready
        models = [self._backend.model(name, None) for name in self._backend.names() if ready or not asked.ready]
        state = {"state": "READY" if ready else "UNAVAILABLE", "reason": "" if ready else not_ready().message}
        return JSONResponse([{"name": model.name, "version": model.version, **state} for model in models])

    async def infer(self, request: Request) -> Response:
        model = self._model_of(request)
        self._check_ready()
        _check_headers(request.headers, self._max_body_bytes)
        with self._admit(request) as admitted:
            deadline = admitted.deadline
            body = await self._body(request, deadline)
            length = _json_length(request.headers, body)
            asked, given = await self._do(partial(_parse, body, length, model.spec), len(body), deadline)
            if asked.parameters.timeout is not None:
                deadline = _sooner(deadline, asked.parameters.timeout)
            deadline.check("inference")
            admitted = replace(admitted, deadline=deadline)
            outputs: tuple[NDArray[np.float32], ...]
            if isinstance(given, list):
                outputs = (await self._backend.infer_bytes(model, given, admitted),)
            else:
                outputs = await self._backend.infer(model, given, admitted)
            size = sum(output.nbytes for output in outputs)
            return await self._do(partial(_answer, asked, model, outputs), size, deadline)

    async def _body(self, request: Request, deadline: Deadline) -> bytes:
        try:
            return await read_body(request.receive, self._max_body_bytes, deadline)
        except RequestError as error:
            if error.code != "empty_body":
                raise
            raise bad_request("the body is empty; allowed: the JSON of an inference request") from None

    async def _do(self, work: Callable[[], T], size: int, deadline: Deadline) -> T:
        """Do the work: here where it is short, else in a thread, so that others are served meanwhile."""
        if size <= _INLINE_BYTES:
            return work()
        try:
            async with asyncio.timeout(deadline.remaining_s()), self._large:
                return await asyncio.to_thread(work)
        except TimeoutError:
            raise deadline_passed(deadline.timeout_ms, "the request was read or the answer written") from None

    def _model_of(self, request: Request) -> ModelInfo:
        return self._backend.model(request.path_params["name"], request.path_params.get("version"))

    def _check_ready(self) -> None:
        if not self._backend.ready:
            raise not_ready()


def _metadata(model: ModelInfo) -> JsonObject:
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": model.platform,
        **ports_of(model.spec),
    }


def _check_headers(headers: Mapping[str, str], max_body_bytes: int) -> None:
    """Let a request's headers pass.

    Raises:
        RequestError: 415 another type than JSON or bytes, or a compressed body; 413 a declared length over the limit.
    """
    declared = headers.get("content-type", "").split(";")[0].strip().lower()
    if declared not in _TYPES:
        raise unsupported_request_type(excerpt(declared))
    check_encoding(headers)
    if _length(headers.get("content-length", "0"), "Content-Length") > max_body_bytes:
        raise too_large(max_body_bytes, body_unread=True)


def _json_length(headers: Mapping[str, str], body: bytes) -> int:
    """Return how many bytes of the body are JSON."""
    length = _length(headers.get(HEADER_LENGTH, str(len(body))), HEADER_LENGTH)
    if not 0 < length <= len(body):
        raise refusal(f"{HEADER_LENGTH} is {length}; allowed: 1 to the body's {len(body)} bytes")
    return length


def _length(text: str, header: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise refusal(f"{header} is {excerpt(text)}; allowed: a number of bytes")
    return int(text)


def _parse(body: bytes, json_length: int, spec: ModelSpec) -> tuple[InferRequest, Input]:
    asked = read_message(body[:json_length], InferRequest, max_containers(spec.input_chw))
    given = read_input(asked, body[json_length:], spec.input_chw)
    if isinstance(given, list) and spec.boxes:
        raise refusal("input 'image_bytes' is for models that name images; allowed: 'images', or POST /v1/detect")
    names = [output.name for output in asked.outputs]
    if unknown := [name for name in names if name not in outputs_of(spec)]:
        raise refusal(f"outputs names '{unknown[0]}'; allowed: {', '.join(outputs_of(spec))}")
    if len(set(names)) < len(names):
        raise refusal(f"outputs names '{names[0]}' twice; allowed: once")
    return asked.model_copy(update={"inputs": []}), given  # without the numbers as Python's objects


def _sooner(deadline: Deadline, timeout_us: int) -> Deadline:
    """Return the deadline, or one the request's own `timeout` from now where that is sooner."""
    timeout_ms = max(1, timeout_us // 1000)
    return Deadline(timeout_ms) if timeout_ms < deadline.remaining_s() * 1000 else deadline


def _answer(asked: InferRequest, model: ModelInfo, given: tuple[NDArray[np.float32], ...]) -> Response:
    if not all(np.isfinite(output).all() for output in given):
        raise bad_model_output("the model answered with numbers that are not finite")
    outputs, blob = write_outputs(asked, given, model.spec)
    content: dict[str, object] = {"model_name": model.name, "model_version": model.version}
    if asked.id is not None:
        content["id"] = asked.id
    content["outputs"] = outputs
    # piece by piece where it is long, because `dumps` gives other threads no turn
    large = sum(output.nbytes for output in given) > _INLINE_BYTES
    text = ("".join(_ENCODER.iterencode(content)) if large else json.dumps(content)).encode()
    headers = {"X-Model-Version": model.version}
    if not blob:
        return Response(text, media_type="application/json", headers=headers)
    headers[HEADER_LENGTH] = str(len(text))
    return Response(text + blob, media_type="application/octet-stream", headers=headers)
