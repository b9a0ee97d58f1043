"""`serve`: listen, answer, and on SIGTERM or SIGINT finish what was accepted."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from compress.core.stage import Reporter, SilentReporter
from compress.errors import UsageError, missing_backend
from compress.serve.config import ServeConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

_CONFIG_VARIABLE = "IMGC_SERVE_CONFIG"  # how a server process is told its config by its parent
_GRACE_S = 5
_BACKLOG = 2048


def serve(config: ServeConfig, *, reporter: Reporter | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the accepted requests and return.

    Raises:
        UsageError: no such file, a torch file, or an address that cannot be listened on.
        ModelFileError: a file that cannot be run.
        BackendMissingError: a module of `imgc[serve]` is not installed.
    """
    try:
        import uvicorn

        from compress.serve.app import create_app
    except ModuleNotFoundError as error:
        raise missing_backend(error.name or "uvicorn", "serve") from error
    app = create_app(config)  # also with many processes: a bad file is refused here, once, and not by each of them
    with _listen(config) as listener:
        host, port = listener.getsockname()[:2]
        say = reporter or SilentReporter()
        say.info(f"serving {config.artifact} on http://{f'[{host}]' if ':' in host else host}:{port}")
        if config.workers == 1:
            _run_here(uvicorn.Server(uvicorn.Config(app, **_options(config))), listener)
        else:
            del app
            _run_processes(config, listener)


def app_from_environment() -> FastAPI:
    """Return the application of a server process, by the config its parent left in the environment."""
    from compress.serve.app import create_app

    return create_app(ServeConfig.model_validate_json(os.environ[_CONFIG_VARIABLE]))


def _options(config: ServeConfig) -> dict[str, Any]:
    return {
        "http": "httptools" if find_spec("httptools") else "h11",
        "loop": "uvloop" if find_spec("uvloop") else "asyncio",
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "proxy_headers": False,
        "timeout_graceful_shutdown": config.timeout_ms // 1000 + _GRACE_S,
    }


def _run_here(server: Any, listener: socket.socket) -> None:  # noqa: ANN401 - uvicorn.Server, imported late
    """Run until a signal. uvicorn raises the signal again when it is done; ours makes that a clean return."""

    def stop(*_: object) -> None:
        server.should_exit = True

    with _signal_handler(stop):
        server.run(sockets=[listener])


def _run_processes(config: ServeConfig, listener: socket.socket) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    os.environ[_CONFIG_VARIABLE] = config.model_dump_json()
    entry = f"{__name__}:{app_from_environment.__name__}"
    options = uvicorn.Config(entry, factory=True, workers=config.workers, **_options(config))
    with _signal_handler(signal.SIG_DFL):
        Multiprocess(options, sockets=[listener]).run()


@contextmanager
def _signal_handler(handler: Any) -> Iterator[None]:  # noqa: ANN401 - what signal.signal takes
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _listen(config: ServeConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)  # who comes before the first accept waits and is not refused
    except OSError as error:
        listener.close()
        hint = f"imgc serve --port {config.port + 1}" if config.port < 65_535 else ""
        raise UsageError(f"cannot listen on {config.host}:{config.port}: {error.strerror}", hint=hint) from error
    listener.set_inheritable(True)
    return listener
