"""`RequestError`: a request that gets no prediction, with the status, the code and the words it is told instead."""

from __future__ import annotations

from collections.abc import Sequence

from compress.core.dataset import Task

RETRY_AFTER_S = 1


class RequestError(Exception):
    """An answer other than 200: becomes `{"error", "code", "request_id"}`.

    Attributes:
        status: HTTP status.
        code: one fixed word for programs.
        message: one sentence for people.
        headers: HTTP headers that belong to the status.
        body_unread: the client may still be sending, so the connection must not be reused.
        reason: what is counted in the metrics: the code, or more exactly why.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        body_unread: bool = False,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.body_unread = body_unread
        self.reason = reason or code


def bad_request(message: str) -> RequestError:
    """Return 400: a parameter that cannot be used."""
    return RequestError(400, "bad_request", message)


def no_preprocessing(model: str) -> RequestError:
    """Return 400: an image for a model of which nobody said how images are prepared."""
    return RequestError(
        400,
        "no_preprocessing",
        f"nobody said how images are prepared for '{model}': the server takes --preprocess; prepared tensors go to "
        f"/v2/models/{model}/infer",
    )


def empty_body() -> RequestError:
    """Return 400: no image came."""
    return RequestError(400, "empty_body", "the body is empty: send the image's bytes as the raw request body")


def incomplete_body() -> RequestError:
    """Return 400: the client went away in the middle of its body."""
    return RequestError(400, "incomplete_body", "the connection ended before the whole body had arrived")


def too_large(limit_bytes: int, *, body_unread: bool) -> RequestError:
    """Return 413: a body over the limit."""
    message = f"the body is larger than the {limit_bytes} bytes allowed"
    return RequestError(413, "too_large", message, body_unread=body_unread)


def image_too_costly(cost_bytes: int, capacity_bytes: int) -> RequestError:
    """Return 413: an image whose pixels would take more memory than the server has for images."""
    message = (
        f"decoding this image would take {cost_bytes >> 20} MiB, and this server has {capacity_bytes >> 20} MiB "
        "for it: send it with fewer pixels, or as a JPEG that is not progressive"
    )
    return RequestError(413, "image_too_costly", message)


def unsupported_type(found: str) -> RequestError:
    """Return 415: what came is no image, by its declared type or by its first bytes."""
    message = (
        f"not an image this server reads (found {found}): send a JPEG, PNG, WebP, BMP, GIF or TIFF as the raw body"
    )
    return RequestError(415, "unsupported_media_type", message)


def undecodable(message: str) -> RequestError:
    """Return 422: an image by its first bytes that does not decode."""
    return RequestError(422, "bad_image", message)


def bad_model_output(message: str) -> RequestError:
    """Return 500: the model ran and its answer means nothing."""
    return RequestError(500, "bad_model_output", message)


def internal() -> RequestError:
    """Return 500: a fault of ours; the log has the traceback, the client does not."""
    return RequestError(500, "internal", "the server failed")


def unauthorized() -> RequestError:
    """Return 401: the server asks for a key and did not get it."""
    message = "this server asks for its API key: send it as X-API-Key, or as Authorization: Bearer"
    return RequestError(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})


def other_task(name: str, task: Task) -> RequestError:
    """Return 400: the model does the other thing; the message says where it is asked."""
    does, where = ("finds boxes", "/v1/detect") if task == "detect" else ("names images", "/v1/classify")
    return RequestError(400, "other_task", f"model {name!r} {does}: POST {where}")


def unknown_model(name: str, known: Sequence[str]) -> RequestError:
    """Return 404: no such model here."""
    return RequestError(404, "unknown_model", f"no model {name[:80]!r} is served here (served: {', '.join(known)})")


def too_many_requests(per_s: float, wait_s: int) -> RequestError:
    """Return 429: this client asks more often than it may."""
    message = f"more than the {per_s:g} requests per second allowed to one client"
    return RequestError(429, "too_many_requests", message, headers={"Retry-After": str(wait_s)})


def overloaded(reason: str) -> RequestError:
    """Return 503: what may be inside is inside; `reason` is one of count, bytes, wait, memory."""
    words = {
        "count": "too many requests are waiting",
        "bytes": "the requests that are waiting are too large together",
        "wait": "the wait would be longer than the time this request has",
        "memory": "the server is short of memory",
    }
    headers = {"Retry-After": str(RETRY_AFTER_S)}
    return RequestError(503, "overloaded", words[reason], headers=headers, reason=reason)


def not_ready(why: str = "the server is starting or stopping") -> RequestError:
    """Return 503: the model is not warm yet, a worker is being replaced, or the server is stopping."""
    return RequestError(503, "not_ready", why, headers={"Retry-After": str(RETRY_AFTER_S)})


def worker_lost() -> RequestError:
    """Return 500: the thread that worked on this request died or hung, and was replaced."""
    return RequestError(500, "worker_lost", "the worker thread of this request was lost and has been replaced")


def deadline_passed(timeout_ms: int, before: str) -> RequestError:
    """Return 504: time ran out before the named step."""
    return RequestError(504, "deadline", f"{timeout_ms} ms passed before {before}", body_unread=before == BODY)


BODY = "the body had arrived"


def unknown_host(name: str) -> RequestError:
    """Return 421: the request is meant for another host."""
    message = f"this server does not answer to the host '{name[:80]}' (setting: allowed_hosts)"
    return RequestError(421, "unknown_host", message)


def unsupported_request_type(found: str) -> RequestError:
    """Return 415: an inference request that is declared to be neither JSON nor JSON and bytes."""
    message = f"the content type is {found}; allowed: application/json, application/octet-stream, or none"
    return RequestError(415, "unsupported_media_type", message)


def unsupported_encoding(found: str) -> RequestError:
    """Return 415: a compressed body."""
    return RequestError(415, "unsupported_encoding", f"the content encoding is {found}; allowed: none, uncompressed")


def unknown_version(name: str, version: str, served: str) -> RequestError:
    """Return 404: the model is served, in another version."""
    message = f"the model '{name}' is not served in version '{version[:80]}'; allowed: {served}"
    return RequestError(404, "unknown_version", message)
