"""Our server in a thread, which tells how many connections its clients opened."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from compress.core.preprocess import Preprocess
from compress.serve.app import app_of
from compress.serve.config import ServeConfig
from compress.serve.core.service import Service
from compress.serve.http.protocol import GuardedProtocol
from compress.serve.run import listen, server_options

_PATIENCE_S = 30.0


@dataclass
class Counted:
    """A running server: where it answers, and how many connections there were."""

    url: str
    connections: int = 0


@contextmanager
def serving(model: Path, preprocess: Preprocess | None = None) -> Iterator[Counted]:
    """Serve a model on loopback as `imgc serve` does, until the block ends.

    Raises:
        TimeoutError: it does not start in 30 s.
    """
    config = ServeConfig.model_validate(
        {"models": [model], "port": 0, "threads": 1, "timeout_ms": 20_000, "preprocess": preprocess}
    )
    with listen(config) as listener:
        counted = Counted(f"http://127.0.0.1:{listener.getsockname()[1]}/v1/classify")

        class Counting(GuardedProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                counted.connections += 1
                super().connection_made(transport)

        options = {**server_options(config), "http": Counting}
        server = uvicorn.Server(uvicorn.Config(app_of(Service(config)), **options))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            _wait_until_started(server)
            yield counted
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)


def _wait_until_started(server: uvicorn.Server) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not server.started:
        if time.monotonic() > end_s:
            raise TimeoutError("the server did not start")
        time.sleep(0.01)
