"""`RequestError`: a request that gets no prediction, with the status, the code and the words it is told instead."""

from __future__ import annotations

RETRY_AFTER_S = 1


class RequestError(Exception):
    """An answer other than 200: becomes `{"error", "code", "request_id"}`.

    Attributes:
        status: HTTP status.
        code: one fixed word for programs.
        message: one sentence for people.
        headers: HTTP headers that belong to the status.
        body_unread: the client may still be sending, so the connection must not be reused.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        body_unread: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.body_unread = body_unread


def bad_request(message: str) -> RequestError:
    """Return 400: a parameter that cannot be used."""
    return RequestError(400, "bad_request", message)


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


def overloaded() -> RequestError:
    """Return 503: as many requests as may wait are waiting."""
    return RequestError(503, "overloaded", "too many requests are waiting", headers={"Retry-After": str(RETRY_AFTER_S)})


def not_ready() -> RequestError:
    """Return 503: the model is not warm yet, or the server is stopping."""
    message = "the server is starting or stopping"
    return RequestError(503, "not_ready", message, headers={"Retry-After": str(RETRY_AFTER_S)})


def deadline_passed(timeout_ms: int, before: str) -> RequestError:
    """Return 504: time ran out before the named step."""
    return RequestError(504, "deadline", f"{timeout_ms} ms passed before {before}", body_unread=before == BODY)


BODY = "the body had arrived"


def unsupported_request_type(found: str) -> RequestError:
    """Return 415: an inference request that is declared to be neither JSON nor JSON and bytes."""
    message = f"the content type is {found}; allowed: application/json, application/octet-stream, or none"
    return RequestError(415, "unsupported_media_type", message)


def unsupported_encoding(found: str) -> RequestError:
    """Return 415: a compressed body."""
    return RequestError(415, "unsupported_encoding", f"the content encoding is {found}; allowed: none, uncompressed")


def unknown_model(name: str, names: tuple[str, ...]) -> RequestError:
    """Return 404: no model of that name is served."""
    return RequestError(404, "unknown_model", f"no model '{name[:80]}' is served; allowed: {', '.join(names)}")


def unknown_version(name: str, version: str, served: str) -> RequestError:
    """Return 404: the model is served, in another version."""
    message = f"the model '{name}' is not served in version '{version[:80]}'; allowed: {served}"
    return RequestError(404, "unknown_version", message)
