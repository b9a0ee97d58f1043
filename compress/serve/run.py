"""`serve`: listen, answer, and on SIGTERM or SIGINT finish what was accepted."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING, Literal, TypedDict

from compress.core.stage import Reporter, SilentReporter
from compress.errors import UsageError, missing_backend
from compress.serve.config import ServeConfig
from compress.serve.http.json_log import log_as_json

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from compress.serve.core.service import Service

_Handler = Callable[[int, FrameType | None], object] | int | None  # what signal.signal takes and returns
_GRACE_S = 5
_READY_S = 60  # a process may take this long to be ready, and to say that it lives; uvicorn's 5 s are few on a busy Pi
_BACKLOG = 2048
_OTHER_FILES = 64  # that a process has open beside its connections
log = logging.getLogger("imgc.serve")


def serve(config: ServeConfig, *, reporter: Reporter | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the accepted requests and return.

    With several processes, SIGHUP replaces them one by one, each ready before the old one goes.

    Raises:
        UsageError: no such file, a torch file, or an address that cannot be listened on.
        ModelFileError: a file that cannot be run.
        BackendMissingError: a module of the extra `serve` is not installed.
    """
    try:
        import uvicorn

        from compress.serve.app import app_of
        from compress.serve.core.service import Service
        from compress.serve.processes import run_processes
    except ModuleNotFoundError as error:
        raise missing_backend(error.name or "uvicorn", "serve") from error
    log_as_json()
    config = _with_files_enough(config)
    service = Service(config)  # also with many processes: a bad file is refused here, once, and not by each of them
    with listen(config) as listener:
        host, port = listener.getsockname()[:2]
        say = reporter or SilentReporter()
        names = ", ".join(f"{model.name} ({model.spec.precision.value})" for model in service.models.values())
        for model in service.models.values():
            if not model.takes_images:
                say.warn(f"{model.name}: does not say how images are prepared; it answers tensors alone, at /v2")
        say.info(f"serving {names} on http://{f'[{host}]' if ':' in host else host}:{port}")
        if config.workers == 1:
            _run_here(uvicorn.Server(uvicorn.Config(app_of(service), **server_options(config))), listener, service)
        else:
            del service
            entry = f"{__name__}:{app_from_environment.__name__}"
            options = uvicorn.Config(entry, factory=True, workers=config.workers, **server_options(config))
            with _signal_handler(signal.SIG_DFL):
                run_processes(config, options, listener)


def app_from_environment() -> ASGIApp:
    """Return the application of a server process, by the config its parent left in the environment."""
    from compress.serve.app import create_app
    from compress.serve.processes import CONFIG_VARIABLE

    log_as_json()
    return create_app(ServeConfig.model_validate_json(os.environ[CONFIG_VARIABLE]))


class ServerOptions(TypedDict):
    """What we tell uvicorn."""

    http: str
    loop: Literal["uvloop", "asyncio"]
    ws: Literal["none"]
    lifespan: Literal["on"]
    access_log: bool
    log_config: None
    server_header: bool
    proxy_headers: bool
    backlog: int
    timeout_worker_healthcheck: int
    timeout_graceful_shutdown: int


def server_options(config: ServeConfig) -> ServerOptions:
    """Return what uvicorn is told beside the application."""
    return {
        "http": "compress.serve.http.protocol:GuardedProtocol",
        "loop": "uvloop" if find_spec("uvloop") else "asyncio",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": False,
        "backlog": _BACKLOG,
        "timeout_worker_healthcheck": _READY_S,
        "timeout_graceful_shutdown": config.timeout_ms // 1000 + _GRACE_S,
    }


def _run_here(server: uvicorn.Server, listener: socket.socket, service: Service) -> None:
    """Run until a signal. uvicorn raises the signal again when it is done; ours makes that a clean return.

    With `drain_ms`, a first signal makes the server say that it is not ready, so that balancers look elsewhere, while
    it goes on serving; it ends that much later, or at a second signal.
    """

    def stop(*_: object) -> None:
        server.should_exit = True

    def drain(*_: object) -> None:
        if service.draining or not service.config.drain_ms:
            stop()
        else:
            service.draining = True
            timer = threading.Timer(service.config.drain_ms / 1000, stop)
            timer.daemon = True  # after a second signal nobody waits for it
            timer.start()

    with _signal_handler(drain), _without_own_handlers(server):
        server.run(sockets=[listener])


@contextmanager
def _without_own_handlers(server: uvicorn.Server) -> Iterator[None]:
    """Keep uvicorn from taking the signals: it would end at once."""
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    yield


@contextmanager
def _signal_handler(handler: _Handler) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _with_files_enough(config: ServeConfig) -> ServeConfig:
    """Return the config with as many connections as this process may have files; raise that limit where it can be."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return config
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.max_connections + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return config
    if hard == resource.RLIM_INFINITY or hard > soft:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = min(config.max_connections, max(1, soft - _OTHER_FILES))
    if most < config.max_connections:
        log.warning("only %d connections at once: the limit of open files is %d (ulimit -n)", most, soft)
    return config.model_copy(update={"max_connections": most})


def listen(config: ServeConfig) -> socket.socket:
    """Return a socket that listens on the configured address.

    Raises:
        UsageError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; inherited: a client that takes no reply must not stay for ever
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, config.header_timeout_ms)
    try:
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)  # who comes before the first accept waits and is not refused
    except OSError as error:
        listener.close()
        hint = f"imgc serve --port {config.port + 1}" if config.port < 65_535 else ""
        raise UsageError(f"cannot listen on {config.host}:{config.port}: {error.strerror}", hint=hint) from error
    listener.set_inheritable(True)
    return listener
