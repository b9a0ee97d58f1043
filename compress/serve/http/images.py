"""`ImageRoute`: one image as the raw body, or one or several in a form. A plain ASGI application for each task.

FastAPI's own parameters and responses would take longer than a small int8 model: this route reads and writes by itself.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from time import perf_counter
from typing import ClassVar, TypedDict, final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from compress.core.dataset import Task
from compress.serve.core.admission import Slot
from compress.serve.core.deadline import Deadline
from compress.serve.core.inference import Inference
from compress.serve.core.service import Answer, Service
from compress.serve.core.work import BoxJson
from compress.serve.errors import RequestError, bad_request, other_task
from compress.serve.http.body import (
    MULTIPART,
    UploadedImage,
    check_encoding,
    check_image_type,
    declared_length,
    declared_type,
    images_in,
    read_body,
)
from compress.serve.http.gateway import BODY_READ, JsonReply

MAX_TOP_K = 1000
_MAX_QUERY_FIELDS = 32
_QUERY = frozenset({"model", "allow_degraded"})  # of either task
_SHARE = re.compile(r"0?\.\d{1,9}|[01](?:\.0{0,9})?", re.ASCII)
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the query asks for: which model, and whether a smaller one will do; how many classes; the least score."""

    model: str | None = None
    allow_degraded: bool = True
    top_k: int = 5
    min_score: float = 0.0


class ImageAnswer(TypedDict, total=False):
    """What the reply says of one image: one of the lists by its task; `filename` only where several came in a form."""

    filename: str | None
    cached: bool
    predictions: list[dict[str, int | str | float]]
    detections: list[BoxJson]
    timing_ms: dict[str, float]


@final
class ImageRefusal(TypedDict):
    """What it says of one of several that got no answer."""

    filename: str | None
    error: str
    code: str


class ImageAnswers(TypedDict):
    """What it says of several, each with answer or error; the times are the longest."""

    results: list[ImageAnswer | ImageRefusal]
    timing_ms: dict[str, float]


class ImageRoute(ABC):
    """The route of one task, over a service."""

    task: ClassVar[Task]
    fields: ClassVar[frozenset[str]]  # of the query, beside those of every task

    def __init__(self, service: Service) -> None:
        self.service = service

    @abstractmethod
    def said(self, answer: Answer, wishes: Wishes) -> ImageAnswer:
        """Return what the reply says of an image, but for how long it took."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            RequestError: any of the statuses of `compress.serve.errors`; the gateway makes the reply of it.
        """
        begun = perf_counter()
        service, config = self.service, self.service.config
        headers = Headers(raw=scope["headers"])
        deadline = deadline_of(headers, config.timeout_ms)
        wishes = wishes_in(scope["query_string"], self.fields)
        check_encoding(headers)
        media_type = declared_type(headers)
        if media_type != MULTIPART:
            check_image_type(media_type)
        length = declared_length(headers, config.max_body_bytes)
        service.check_open()
        asked = service.model(wishes.model)
        if asked.spec.task != self.task:
            raise other_task(asked.name, asked.spec.task)
        model = service.answering(asked, wishes.allow_degraded)
        with service.admission.slot(length, service.predicted_wait_s(), deadline.remaining_s()) as slot:
            body = await read_body(receive, config.max_body_bytes, deadline)
            scope["state"][BODY_READ] = True
            read_ms = (perf_counter() - begun) * 1000
            if media_type == MULTIPART:
                images = await images_in(body, headers, config.max_files)
                content: ImageAnswer | ImageAnswers = await self._form(model, images, deadline, slot, wishes)
            else:
                content = self._content(await service.answer(model, body, deadline, slot), wishes)
        timing_ms = {**content["timing_ms"], "total": round((perf_counter() - begun) * 1000, 3)}
        if not content.get("cached", False):
            self._count(read_ms, timing_ms)
        identity = {
            "id": scope["state"]["request_id"],
            "model": asked.name,
            "version": model.version,
            "precision": model.spec.precision.value,
            "degraded": model is not asked,
        }
        reply = JsonReply({**identity, **content, "timing_ms": timing_ms}, 200, _headers(model, read_ms, timing_ms))
        await reply(scope, receive, send)

    async def _form(
        self, model: Inference, images: list[UploadedImage], deadline: Deadline, slot: Slot, wishes: Wishes
    ) -> ImageAnswer | ImageAnswers:
        """Return the answer to one image as the raw route has it; to several a list, each with answer or error."""
        if len(images) == 1:
            return self._content(await self.service.answer(model, images[0].content, deadline, slot), wishes)
        answers = await asyncio.gather(
            *(self.service.answer(model, one.content, deadline, slot) for one in images), return_exceptions=True
        )
        results = [self._result(one, answer, wishes) for one, answer in zip(images, answers, strict=True)]
        times = [result["timing_ms"] for result in results if "timing_ms" in result]
        longest = {key: max((time[key] for time in times), default=0.0) for key in ("queue", "decode", "infer")}
        return {"results": results, "timing_ms": longest}

    def _content(self, answer: Answer, wishes: Wishes) -> ImageAnswer:
        timing_ms = {
            "queue": round(answer.queue_ms, 3),
            "decode": round(answer.decode_ms, 3),
            "infer": round(answer.infer_ms, 3),
        }
        return {"cached": answer.cached, **self.said(answer, wishes), "timing_ms": timing_ms}

    def _result(
        self, image: UploadedImage, answer: Answer | BaseException, wishes: Wishes
    ) -> ImageAnswer | ImageRefusal:
        if isinstance(answer, Answer):
            return {"filename": image.filename, **self._content(answer, wishes)}
        if isinstance(answer, RequestError):
            return {"filename": image.filename, "error": answer.message, "code": answer.code}
        raise answer

    def _count(self, read_ms: float, timing_ms: dict[str, float]) -> None:
        stages = self.service.metrics.stages
        stages["read"].see(read_ms / 1000)
        for stage, took_ms in timing_ms.items():
            stages[stage].see(took_ms / 1000)


def deadline_of(headers: Headers, timeout_ms: int) -> Deadline:
    """Return the deadline of a request: the server's, or an earlier one that `X-Timeout-Ms` asks for.

    Raises:
        RequestError: 400 it is no whole number of at least 1.
    """
    asked = headers.get("x-timeout-ms")
    if asked is None:
        return Deadline(timeout_ms)
    if not (asked.isascii() and asked.isdigit() and 0 < len(asked) < 10 and int(asked) > 0):
        raise bad_request(f"X-Timeout-Ms: a whole number of milliseconds from 1 (found {asked[:40]!r})")
    return Deadline(min(timeout_ms, int(asked)))


def wishes_in(query: bytes, fields: frozenset[str]) -> Wishes:
    """Return what a query string asks for; fields that are not ours, nor nearly ours, are left alone.

    Raises:
        RequestError: 400 a value that cannot be used, or a field that is misspelt.
    """
    if not query:
        return Wishes()
    try:
        given = dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS))
    except ValueError as error:
        raise bad_request(f"the query cannot be read (at most {_MAX_QUERY_FIELDS} fields)") from error
    known = _QUERY | fields
    for name in given.keys() - known:
        if near := get_close_matches(name[:40], sorted(known), n=1, cutoff=0.8):
            raise bad_request(f"{name[:40]!r} is no field of the query; did you mean {near[0]}?")
    return Wishes(
        model=given.get("model"),
        allow_degraded=_flag("allow_degraded", given.get("allow_degraded", "true")),
        top_k=_top_k(given.get("top_k", "5")) if "top_k" in fields else 5,
        min_score=_score(given.get("min_score", "0")) if "min_score" in fields else 0.0,
    )


def _top_k(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_TOP_K):
        raise bad_request(f"top_k: a whole number from 1 to {MAX_TOP_K} (found {text[:40]!r})")
    return int(text)


def _score(text: str) -> float:
    if not _SHARE.fullmatch(text[:40]):
        raise bad_request(f"min_score: a number from 0 to 1 (found {text[:40]!r})")
    return float(text)


def _flag(name: str, text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise bad_request(f"{name}: true or false (found {text[:40]!r})")
    return text.lower() in _TRUE


def _headers(model: Inference, read_ms: float, timing_ms: dict[str, float]) -> dict[str, str]:
    stages = {"read": read_ms, **timing_ms}
    return {
        "X-Model-Version": model.version,
        "Server-Timing": ", ".join(f"{stage};dur={took_ms:.3f}" for stage, took_ms in stages.items()),
    }
