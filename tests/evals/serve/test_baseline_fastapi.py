from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from evals.serve.alone import Alone
from evals.serve.rounds import warm_up
from evals.serve.targets import FASTAPI_LIMIT, Target
from tests.colours import colours_file, jpeg
from tests.evals.serve.tiny import tiny_setting


def baseline(model: Path, limit: int) -> Target:
    command = (sys.executable, "-m", "evals.serve.baseline_fastapi", str(model), "{port}", str(limit))
    return Target("baseline", model, command, "/classify", "/health")


def test_it_starts_and_answers_as_the_model_does(tmp_path):
    setting = tiny_setting(tmp_path)
    for seed, path in enumerate(setting.images.small):
        path.write_bytes(jpeg(seed=seed))
    target = baseline(colours_file(tmp_path / "colours.onnx"), FASTAPI_LIMIT)
    with target.start() as server:
        answers = [Alone(target.model).label(body) for body in setting.images.bodies()]
        assert warm_up(setting, target, server) == answers


def test_it_tells_503_to_what_comes_above_its_limit(tmp_path):
    target = baseline(colours_file(tmp_path / "colours.onnx"), 3)
    with target.start() as server:
        address = ("127.0.0.1", server.port)
        waiting = [socket.create_connection(address) for _ in range(3)]  # connections count as well as requests
        try:
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(f"http://127.0.0.1:{server.port}/health", timeout=10)
        finally:
            for one in waiting:
                one.close()
