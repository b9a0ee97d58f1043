"""The Open Inference Protocol's routes as OpenAPI describes them; the schemas are those that requests are read by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from compress.core.json_types import Json, JsonObject
from compress.serve.oip.routes import HEADER_LENGTH, MODEL_PATHS
from compress.serve.oip.schema import (
    IndexEntry,
    IndexRequest,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)

ERROR = "#/components/schemas/Error"  # the application's; every refusal has it
_PREFIX = "Oip"  # keeps our schemas apart from the application's others
_MODELS: tuple[type[BaseModel], ...] = (
    IndexEntry,
    IndexRequest,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)
_TAG = "Open Inference Protocol"
_ERRORS = {
    400: "The request cannot be used; the words say what was found and what is allowed",
    401: "The API key is missing or another one",
    404: "No such model, or not in that version",
    413: "The body is over the limit",
    415: "Another content type than JSON or bytes, a compressed body, or an element that is no image",
    422: "An image that does not decode",
    429: "This caller has had its share for now",
    500: "The server failed, or the model's answer means nothing",
    503: "Starting, stopping, or as many requests are waiting as may",
    504: "The time for the answer has passed",
}
_BYTES: JsonObject = {"schema": {"type": "string", "format": "binary"}}
_HEADER_SCHEMA: JsonObject = {"schema": {"type": "integer", "minimum": 1}}


class OipComponents(TypedDict):
    """The schemas by name."""

    schemas: JsonObject


class OipDocument(TypedDict):
    """A part of an OpenAPI document."""

    paths: dict[str, JsonObject]
    components: OipComponents


def oip_openapi() -> OipDocument:
    """Return the part of an OpenAPI 3.1 document that is the protocol: `paths`, and their schemas but `ERROR`."""
    paths: dict[str, JsonObject] = {
        "/v2": {"get": _get("Describe the server", ServerMetadata)},
        "/v2/health/live": {"get": _get("Say that the process answers", ServerLive)},
        "/v2/health/ready": {"get": _get("Say whether inference is let in", ServerReady, 503)},
        "/v2/repository/index": {"post": _index()},
    }
    for path in MODEL_PATHS:
        names = [name for name in ("name", "version") if f"{{{name}}}" in path]
        parameters: list[JsonObject] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
        operations: dict[str, JsonObject] = {
            path: {"get": _get("Describe a model's tensors", ModelMetadata, 401, 404, 429)},
            f"{path}/ready": {"get": _get("Say whether a model is ready", ModelReady, 401, 404, 429, 503)},
            f"{path}/infer": {"post": _infer()},
        }
        paths |= {place: {"parameters": parameters, **item} for place, item in operations.items()}
    return {"paths": paths, "components": {"schemas": _schemas()}}


def _schemas() -> JsonObject:
    _, document = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template=f"#/components/schemas/{_PREFIX}{{model}}"
    )
    return {f"{_PREFIX}{name}": schema for name, schema in document["$defs"].items()}


def _ref(model: type[BaseModel]) -> JsonObject:
    return {"$ref": f"#/components/schemas/{_PREFIX}{model.__name__}"}


def _json(schema: JsonObject) -> JsonObject:
    return {"application/json": {"schema": schema}}


def _operation(summary: str, ok: Mapping[str, Json], errors: tuple[int, ...]) -> JsonObject:
    faults: JsonObject = {
        str(status): {"description": _ERRORS[status], "content": _json({"$ref": ERROR})} for status in errors
    }
    return {"tags": [_TAG], "summary": summary, "responses": {"200": {"description": "OK", **ok}, **faults}}


def _get(summary: str, answer: type[BaseModel], *errors: int) -> JsonObject:
    return _operation(summary, {"content": _json(_ref(answer))}, errors)


def _index() -> JsonObject:
    answer = {"content": _json({"type": "array", "items": _ref(IndexEntry)})}
    operation = _operation("List the models and their state", answer, (400, 401, 413, 429, 504))
    return {**operation, "requestBody": {"required": False, "content": _json(_ref(IndexRequest))}}


def _infer() -> JsonObject:
    content: JsonObject = {**_json(_ref(InferRequest)), "application/octet-stream": _BYTES}
    answer: JsonObject = {
        "content": {**_json(_ref(InferResponse)), "application/octet-stream": _BYTES},
        "headers": {HEADER_LENGTH: {**_HEADER_SCHEMA, "description": "Bytes of JSON, where tensors follow it"}},
    }
    header: JsonObject = {
        "name": HEADER_LENGTH,
        "in": "header",
        "required": False,
        "description": "Bytes of JSON at the start of the body; without it the whole body is JSON",
        **_HEADER_SCHEMA,
    }
    return {
        **_operation("Classify images, as preprocessed tensors or as encoded images", answer, tuple(_ERRORS)),
        "parameters": [header],
        "requestBody": {"required": True, "content": content},
    }
