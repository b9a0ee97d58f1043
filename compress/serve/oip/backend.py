"""The served models behind the Open Inference Protocol.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from compress.serve.core.admission import Admitted
from compress.serve.core.inference import Inference
from compress.serve.core.service import Service
from compress.serve.errors import unknown_version
from compress.serve.http.body import declared_length
from compress.serve.http.images import deadline_of
from compress.serve.oip.routes import ModelInfo


class ServiceBackend:
    """A `compress.serve.oip.routes.Backend` over the service; the smaller model of `--degrade` never answers here."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def ready(self) -> bool:
        """Whether inference is let in."""
        return self.service.ready

    def names(self) -> tuple[str, ...]:
        """Return the names of the models."""
        return tuple(self.service.models)

    def model(self, name: str, version: str | None) -> ModelInfo:
        """Return the model of that name and version; None: the one that is served.

        Raises:
            RequestError: 404 no such model, or not in that version.
        """
        model = self.service.model(name)
        if version not in (None, model.version):
            raise unknown_version(name, version or "", model.version)
        platform = f"{model.runtime.split()[0]}_{model.format.value}"
        return ModelInfo(name, model.version, model.spec, platform)

    @contextmanager
    def admit(self, request: Request) -> Iterator[Admitted]:
        """Hold a place for a request until its work is done.

        Raises:
            RequestError: 400, 413 headers that do not pass; 503 no place.
        """
        service = self.service
        deadline = deadline_of(request.headers, service.config.timeout_ms)
        length = declared_length(request.headers, service.config.max_body_bytes)
        with service.admission.slot(length, service.predicted_wait_s(), deadline.remaining_s()) as slot:
            yield Admitted(deadline, slot)

    async def infer(
        self, model: ModelInfo, images_NCHW: NDArray[np.float32], admitted: Admitted
    ) -> tuple[NDArray[np.float32], ...]:
        """Return the model's outputs for preprocessed images_NCHW.

        Raises:
            RequestError: 500, 504.
        """
        found = self._inference(model)
        return await self.service.infer(found, images_NCHW, admitted.deadline, admitted.slot)

    async def infer_bytes(self, model: ModelInfo, bodies: list[bytes], admitted: Admitted) -> NDArray[np.float32]:
        """Return logits_NK of encoded images; the first that fails is the answer, when all have left their threads.

        Raises:
            RequestError: 415, 422, 500, 504.
        """
        found = self._inference(model)
        answers = await asyncio.gather(
            *(self.service.answer(found, body, admitted.deadline, admitted.slot) for body in bodies),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return np.stack([answer.numbers for answer in answers if not isinstance(answer, BaseException)])

    def _inference(self, model: ModelInfo) -> Inference:
        return self.service.model(model.name)
