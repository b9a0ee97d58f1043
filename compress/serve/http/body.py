"""A request's body: what its headers may say, how it is read within its bounds, and the images in a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive

from compress.serve.core.deadline import Deadline
from compress.serve.errors import (
    BODY,
    bad_request,
    deadline_passed,
    empty_body,
    incomplete_body,
    too_large,
    unsupported_encoding,
    unsupported_type,
)

MULTIPART = "multipart/form-data"
_RAW_TYPES = ("", "application/octet-stream", "application/x-www-form-urlencoded")  # the last is curl's default
_FIELD = "file"


@dataclass(frozen=True, slots=True)
class UploadedImage:
    """One image of a form: the name the client gave it, and its file's bytes."""

    filename: str
    content: bytes


class _InMemory(MultiPartParser):
    """Keeps every part in memory: the body is bounded already, and a full disk must not matter."""

    spool_max_size = 1 << 40

    def on_headers_finished(self) -> None:
        """Take a part called `file` for a file also where the client gives it no name."""
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == _FIELD.encode() and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename=""'
        super().on_headers_finished()


def declared_type(headers: Mapping[str, str]) -> str:
    """Return the media type without its parameters, "" when there is none."""
    return headers.get("content-type", "").split(";")[0].strip().lower()


def declared_length(headers: Mapping[str, str], max_body_bytes: int) -> int:
    """Return the declared length of the body in bytes: all that is allowed when it comes in chunks, 0 without a body.

    Raises:
        RequestError: 400 no length, 413 over the limit.
    """
    if "transfer-encoding" in headers:
        return max_body_bytes
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise bad_request("Content-Length is not a length")
    if int(length) > max_body_bytes:
        raise too_large(max_body_bytes, body_unread=True)
    return int(length)


def check_encoding(headers: Mapping[str, str]) -> None:
    """Let a body pass that is not compressed.

    Raises:
        RequestError: 415 it is declared to be.
    """
    encoding = headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise unsupported_encoding(f"'{encoding[:80]}'")


def check_image_type(media_type: str) -> None:
    """Let the declared type of an image pass.

    Raises:
        RequestError: 415 a type that is no image.
    """
    if media_type not in _RAW_TYPES and not media_type.startswith("image/"):
        raise unsupported_type(f"the content type '{media_type[:80]}'")


async def read_body(receive: Receive, max_body_bytes: int, deadline: Deadline) -> bytes:
    """Return the whole body.

    Raises:
        RequestError: 400 empty or cut short, 413 over the limit (as soon as it is), 504 too slow.
    """
    try:
        async with asyncio.timeout(deadline.remaining_s()):
            body = await _read(receive, max_body_bytes)
    except TimeoutError:
        raise deadline_passed(deadline.timeout_ms, BODY) from None
    if not body:
        raise empty_body()
    return body


async def _read(receive: Receive, max_body_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise incomplete_body()
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > max_body_bytes:
            raise too_large(max_body_bytes, body_unread=more)
        chunks.append(chunk)
    return b"".join(chunks)


async def images_in(body: bytes, headers: Headers, max_files: int) -> list[UploadedImage]:
    """Return the images of a form's fields called `file`, in order, at least one.

    Raises:
        RequestError: 400 no form, none or too many images in it.
    """

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await _InMemory(headers, stream(), max_files=max_files, max_fields=max_files).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "no boundary, or a broken part"
        raise bad_request(f"not a form that can be read: {reason} (at most {max_files} images)") from error
    try:
        files = [value for value in form.getlist(_FIELD) if isinstance(value, UploadFile)]
        images = [UploadedImage((one.filename or "")[:200], await one.read()) for one in files]
    finally:
        await form.close()
    if not images:
        raise bad_request(f"the form has no image: send each as a file in a field called '{_FIELD}'")
    return images
