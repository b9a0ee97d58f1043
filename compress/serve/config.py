"""`ServeConfig`: what `imgc serve` may be told. Where each value came from is in `compress.serve.settings`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from compress.core.preprocess import Preprocess, preset
from compress.data.decode import MAX_PIXELS

MIB = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]{1,64}){1,8}/?")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}")  # IPv6 in brackets
_MAX_MODELS = 16


def _preprocess_in(given: object) -> object:
    """Read a preprocessing written as JSON, or as a preset with its side; others are left to the validation."""
    if not isinstance(given, str):
        return given
    return preset(given) or Preprocess.model_validate_json(given)


class ModelSource(BaseModel):
    """One served file.

    Attributes:
        path: an .onnx or .tflite file.
        name: how requests call it; None: the architecture, or the file's name where another tool made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    name: str | None = None

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and not _NAME.fullmatch(name):
            raise ValueError(f"a model's name is 1 to 64 of A-Z a-z 0-9 . _ -, found {name[:80]!r}")
        return name


class ServeConfig(BaseModel):
    """Which models are served, where, and how much work is let in at once.

    Attributes:
        models: the served files; the first answers requests that name none. Also taken as `{name: path}`, and each
            as `path` or `name=path`. Without any the settings can be shown, but not served.
        degrade: a smaller or faster file for the same labels, kept warm, that answers for the first under load.
        preprocess: how images are prepared for files of other tools: the fields, or a preset such as "imagenet:224".
        labels: class names for such files, one a line.
        min_scores: class -> least score of a detector's boxes; of other classes the file's own threshold.
        host: address to listen on.
        root_path: the path under which a proxy shows the server, as in "/vision"; removed from requests that have it.
        port: port to listen on; 0 lets the system choose a free one.
        workers: server processes sharing the port, each with its own models, threads, queue and cache.
        threads: images worked on at once in one process, each by one thread; None: the usable cores over `workers`.
        timeout_ms: time from a request's headers to its reply; later is told 504. `X-Timeout-Ms` may lower it.
        max_body_bytes: largest request body that is read.
        max_pixels: most pixels of one image, width times height as its file declares them.
        max_files: most images in one multipart request, and most images in one tensor request.
        max_queue: accepted requests that may wait beyond those being worked on; more are told 503.
        max_queue_bytes: bytes of bodies that may be inside at once; more are told 503.
        max_connections: open connections in one process; more are closed at once.
        header_timeout_ms: time a connection has to send a request's headers, or to take what it is sent; then it ends.
        max_batch: most waiting images that one model call takes, where the model gains by it; 1: never more than one.
        cache_mib: memory for answers to images seen before; 0: none.
        memory_limit_mib: memory of one process, over `workers` when it is the container's; None: the cgroup's limit.
        stuck_ms: a worker thread that is this long in one piece of work is given up and replaced.
        drain_ms: time after SIGTERM in which requests are still served while /readyz answers 503 (one process only).
        api_key: what `X-API-Key` or `Authorization: Bearer` must carry; None: no key asked.
        allowed_hosts: names that requests may call this server by, beside this machine's own; "*": any. Without any,
            a server bound to loopback answers to this machine's names alone, another one to every name.
        public_health: whether /healthz and /readyz tell models, labels and digests to those without the key.
        rate_limit: requests per second that one client address may make, in bursts of twice as many; None: any.
        cors_origins: web origins whose pages may call the server.
        log_requests: share of the answered requests that are logged, 0..1; failures of the server are always.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[tuple[ModelSource, ...], Field(max_length=_MAX_MODELS)] = ()
    degrade: Path | None = None
    preprocess: Annotated[Preprocess | None, BeforeValidator(_preprocess_in)] = None
    labels: Path | None = None
    min_scores: dict[str, Annotated[float, Field(ge=0.01, le=1.0)]] = Field(default_factory=dict)
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    root_path: str = ""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    timeout_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1000
    max_body_bytes: Annotated[int, Field(ge=1024, le=256 * MIB)] = 10 * MIB
    max_pixels: Annotated[int, Field(ge=1, le=MAX_PIXELS)] = 32_000_000
    max_files: Annotated[int, Field(ge=1, le=256)] = 16
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = 64
    max_queue_bytes: Annotated[int, Field(ge=1024, le=4096 * MIB)] = 64 * MIB
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 2048
    header_timeout_ms: Annotated[int, Field(ge=10, le=600_000)] = 10_000
    max_batch: Annotated[int, Field(ge=1, le=64)] = 1
    cache_mib: Annotated[int, Field(ge=0, le=65_536)] = 16
    memory_limit_mib: Annotated[int, Field(ge=64, le=1 << 24)] | None = None
    stuck_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 30_000
    drain_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    api_key: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    public_health: bool = False
    rate_limit: Annotated[float, Field(gt=0, le=1e6)] | None = None
    cors_origins: tuple[str, ...] = ()
    log_requests: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the model files, the faster one for times of load among them."""
        return (*(source.path for source in self.models), *([] if self.degrade is None else [self.degrade]))

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name != "*" and not _HOST.fullmatch(name):
                raise ValueError(f"a host is a name or an address without scheme and port, found {name[:80]!r}")
        return names

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, path: str) -> str:
        if path and not _ROOT_PATH.fullmatch(path):
            raise ValueError(f"a root path is one or more of /NAME, as in /vision, found {path[:80]!r}")
        return path.rstrip("/")

    @field_validator("models", mode="before")
    @classmethod
    def _read_models(cls, given: object) -> object:
        if isinstance(given, dict):
            return [{"name": name, "path": path} for name, path in given.items()]
        if isinstance(given, (list, tuple)):
            return [source_in(one) if isinstance(one, str | Path) else one for one in given]
        return given

    @model_validator(mode="after")
    def _check(self) -> ServeConfig:
        names = [source.name for source in self.models if source.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two models are called {', '.join(twice)}")
        if self.api_key is not None and not self.api_key.get_secret_value():
            raise ValueError("the API key is empty")
        if self.drain_ms and self.workers > 1:
            raise ValueError("drain_ms needs workers: 1 (with more, the parent keeps the port while they restart)")
        return self


def source_in(given: str | Path) -> dict[str, str]:
    """Return the fields of a `ModelSource` written as `path` or `name=path`."""
    text = str(given)
    name, equals, path = text.partition("=")
    return {"name": name, "path": path} if equals and path and "/" not in name else {"path": text}
