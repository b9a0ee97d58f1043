"""What `/openapi.json` says of the routes that FastAPI does not know from a signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from compress.core.json_types import Json, JsonObject
from compress.serve.config import ServeConfig
from compress.serve.http.paths import ALIVE, KEYED
from compress.serve.oip.openapi import ERROR, oip_openapi

_SCHEMA = "#/components/schemas/"
_WHAT = {
    400: "a parameter or body that cannot be used",
    401: "the API key is missing or another one",
    404: "no such model",
    405: "the path is there, the method is not",
    413: "the body is too large",
    415: "not an image",
    421: "the request is meant for another host (setting: allowed_hosts)",
    422: "an image that does not decode",
    429: "this client asks too often",
    500: "a fault of the server",
    503: "overloaded, starting or stopping; Retry-After says when to come again",
    504: "the deadline passed",
}
_NUMBER: JsonObject = {"type": "number", "minimum": 0}
_TEXT: JsonObject = {"type": "string"}
_FLAG: JsonObject = {"type": "boolean"}
_TIMING: JsonObject = {"type": "object", "properties": dict.fromkeys(("queue", "decode", "infer", "total"), _NUMBER)}
_PREDICTIONS: JsonObject = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "label", "score"],
        "properties": {
            "index": {"type": "integer", "minimum": 0},
            "label": _TEXT,
            "score": {"type": "number", "minimum": 0, "maximum": 1},
        },
    },
}
_DETECTIONS: JsonObject = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "label", "score", "box"],
        "properties": {
            "index": {"type": "integer", "minimum": 0},
            "label": _TEXT,
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "box": {
                "type": "array",
                "items": _NUMBER,
                "minItems": 4,
                "maxItems": 4,
                "description": "x0, y0, x1, y1 in pixels of the upright image",
            },
        },
    },
}
_IDENTITY: JsonObject = {"id": _TEXT, "model": _TEXT, "version": _TEXT, "precision": _TEXT, "degraded": _FLAG}


def _answer(name: str, found: JsonObject) -> JsonObject:
    """Return the schema of the reply about one image; `name` of what was found in it."""
    return {
        "type": "object",
        "required": [*_IDENTITY, "cached", name, "timing_ms"],
        "properties": {**_IDENTITY, "cached": _FLAG, name: found, "timing_ms": _TIMING},
    }


def _answers(name: str, found: JsonObject) -> JsonObject:
    """Return the schema of the reply about several."""
    one: JsonObject = {"filename": _TEXT, "cached": _FLAG, name: found, "timing_ms": _TIMING}
    results: JsonObject = {
        "type": "array",
        "items": {"type": "object", "properties": {**one, "error": _TEXT, "code": _TEXT}},
    }
    return {
        "type": "object",
        "required": [*_IDENTITY, "results", "timing_ms"],
        "properties": {**_IDENTITY, "results": results, "timing_ms": _TIMING},
    }


SCHEMAS: JsonObject = {
    "Error": {
        "type": "object",
        "description": "What every refusal says: a sentence for people, a word for programs, the request's id.",
        "required": ["error", "code", "request_id"],
        "properties": {"error": _TEXT, "code": _TEXT, "request_id": _TEXT},
    },
    "Answer": _answer("predictions", _PREDICTIONS),
    "Answers": _answers("predictions", _PREDICTIONS),
    "Detected": _answer("detections", _DETECTIONS),
    "DetectedInMany": _answers("detections", _DETECTIONS),
}
SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def complete(app: FastAPI, config: ServeConfig) -> None:
    """Make the application's OpenAPI document true: add the routes written as plain ASGI, and every error's shape."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            if config.root_path:
                document["servers"] = [{"url": config.root_path}]
            oip = oip_openapi()
            images = {"/v1/classify": {"post": _classify(config)}, "/v1/detect": {"post": _detect(config)}}
            document["paths"] = {**images, **document["paths"], **oip["paths"]}
            components = document.setdefault("components", {})
            components["schemas"] = {**components.get("schemas", {}), **SCHEMAS, **oip["components"]["schemas"]}
            for path in ("/readyz", "/healthz"):
                document["paths"][path]["get"]["responses"]["503"] = failure(503)
            document["paths"]["/metrics"]["get"]["responses"] = {
                "200": {"description": "the counts", "content": {"text/plain": {"schema": _TEXT}}},
                "401": failure(401),
            }
            _say_whose_host(document)
            if config.api_key is not None:
                _ask_for_key(document)
            app.openapi_schema = document
        return app.openapi_schema

    # FastAPI's documented way to extend the document
    app.openapi = openapi  # type: ignore[method-assign]


def _say_whose_host(document: dict[str, Any]) -> None:
    """Say of every operation but the sign of life that it answers to the server's own names only."""
    for path, item in document["paths"].items():
        if path != ALIVE:
            for method in item.keys() - {"parameters"}:
                item[method]["responses"].setdefault("421", failure(421))


def _ask_for_key(document: dict[str, Any]) -> None:
    """Say that the operations behind the key take it, in either of two headers."""
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    for path, item in document["paths"].items():
        if path.startswith(KEYED):
            for method in item.keys() - {"parameters"}:
                item[method]["security"] = [{name: []} for name in SECURITY_SCHEMES]


def failure(status: int) -> JsonObject:
    """Return the OpenAPI response of an error status."""
    return {"description": _WHAT[status], "content": {"application/json": {"schema": {"$ref": ERROR}}}}


def _classify(config: ServeConfig) -> JsonObject:
    top_k = _query("top_k", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5}, "how many classes")
    return {
        "summary": "Classify an image, or several",
        "operationId": "classify",
        **_images(config, top_k, "the best classes", ("Answer", "Answers")),
    }


def _detect(config: ServeConfig) -> JsonObject:
    score: JsonObject = {"type": "number", "minimum": 0, "maximum": 1, "default": 0}
    min_score = _query("min_score", score, "least score of a box; the model's own threshold holds as well")
    return {
        "summary": "Find boxes in an image, or several",
        "operationId": "detect",
        **_images(config, min_score, "the boxes, best first", ("Detected", "DetectedInMany")),
    }


def _images(config: ServeConfig, own: JsonObject, found: str, schemas: tuple[str, str]) -> JsonObject:
    """Return what the routes that take images have in common; `own` is the parameter of one of them alone."""
    answer = {"schema": {"oneOf": [{"$ref": f"{_SCHEMA}{schema}"} for schema in schemas]}}
    return {
        "description": (
            "The image's bytes as the raw body (fastest), or a form with one or more files in fields called `file`. "
            f"A body has at most {config.max_body_bytes} bytes, a form at most {config.max_files} images."
        ),
        "parameters": [
            own,
            _query("model", _TEXT, "which model; the first when absent"),
            _query("allow_degraded", {**_FLAG, "default": True}, "whether a smaller model may answer under load"),
            {
                "name": "X-Timeout-Ms",
                "in": "header",
                "description": f"an earlier deadline than the server's {config.timeout_ms} ms",
                "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": _BINARY,
                "application/octet-stream": _BINARY,
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "array", "items": _BINARY["schema"], "minItems": 1}},
                    }
                },
            },
        },
        "responses": {
            "200": {"description": found, "content": {"application/json": answer}},
            **{str(status): failure(status) for status in _WHAT if status != 405},
        },
    }


def _query(name: str, schema: Mapping[str, Json], description: str) -> JsonObject:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
