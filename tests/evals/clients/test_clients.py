"""Real HTTP clients against the real server; those that are not installed are skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evals.clients.clients import CLIENTS
from evals.clients.server import serving
from tests.serve.conftest import colours_onnx

pytestmark = pytest.mark.slow  # compilers and interpreters start for it


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a red image of 200 kB, more than a first packet holds."""
    path = tmp_path_factory.mktemp("client") / "red.png"
    noise = np.random.default_rng(0).integers(0, 40, (300, 300, 3))
    Image.fromarray(np.add(noise, (180, 40, 10)).astype(np.uint8)).save(path)
    assert path.stat().st_size > 100_000
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    path.write_bytes(colours_onnx())
    return path


@pytest.mark.parametrize("client", CLIENTS, ids=lambda one: one.name)
def test_every_request_is_answered_twice_on_one_connection(client, model, image):
    if missing := client.missing():
        pytest.skip(f"{missing} is not installed (make clients)")
    with serving(model) as server:
        replies = client.post(server.url, image)
    kinds = {reply.request for reply in replies}
    assert len(replies) >= 2 * len(kinds) >= 2
    assert {reply.status for reply in replies} == {200}, replies
    assert {reply.label for reply in replies} <= {"red", "-"}
    assert all(reply.label == "red" for reply in replies) or client.program in ("ab", "wrk")
    # The second request of a kind goes over the connection of the first.
    assert server.connections <= len(kinds) + client.probes, (
        "the second request of a kind goes over the connection of the first"
    )
