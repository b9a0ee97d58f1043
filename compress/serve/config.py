"""`ServeConfig`: what `imgc serve` may be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MIB = 1 << 20


class ServeConfig(BaseModel):
    """Which model is served, where, and how much work is let in at once.

    Attributes:
        artifact: an .onnx or .tflite file; its labels and preprocessing come from the file itself.
        host: address to listen on.
        port: port to listen on; 0 lets the system choose a free one.
        threads: images worked on at once in one process, each by one thread; None: the usable cores over `workers`.
        max_body_bytes: largest request body that is read.
        max_queue: accepted requests that may wait beyond those being worked on; more are told 503.
        timeout_ms: time from the request's headers to its reply; later is told 504.
        workers: server processes sharing the port, each with its own model, threads and queue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifact: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * MIB)] = 10 * MIB
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = 32
    timeout_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 10_000
    workers: Annotated[int, Field(ge=1, le=64)] = 1
