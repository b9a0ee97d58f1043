"""One server for the abuse that must leave no trace in it, and images of known colours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.abuse.real_server import Server, running
from tests.waiting import until


@pytest.fixture(scope="module")
def shared(onnx_file, tmp_path_factory) -> Iterator[Server]:
    """Return a server that every test of a file shares: each test is abuse that the next one must not feel."""
    folder = tmp_path_factory.mktemp("abuse")
    with running(onnx_file, folder, "--cache-mib", "0") as server:
        yield server
        assert server.stop() == 0
        assert "traceback" not in server.said()


@pytest.fixture
def server(shared, image) -> Iterator[Server]:
    yield shared
    assert shared.process.poll() is None, shared.said()
    reply = shared.post(image())
    assert (reply.status, reply.label) == (200, "red"), "others are served after the abuse"
    until(shared.is_idle)
