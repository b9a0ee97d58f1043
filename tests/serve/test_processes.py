"""Several processes: what a process comes back with after it has died, and what SIGHUP makes of new files."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.serve.abuse.real_server import Server, running
from tests.serve.conftest import SPEC, colours_onnx
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(colours_onnx())
    return path


def workers_of(server: Server) -> set[int]:
    tasks = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    return {int(pid) for pid in tasks.split() if b"spawn_main" in command_line(pid)}


def command_line(pid: str) -> bytes:
    """Return a process's command line; that of one that has just ended is empty."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def label_of(server: Server, body: bytes) -> str:
    reply = server.post(body)
    assert reply.status == 200
    return reply.label


def test_a_process_that_dies_comes_back_with_the_model_it_had(model: Path, tmp_path: Path, image):
    with running(model, tmp_path, "--workers", "2", "--threads", "1") as server:
        before = workers_of(server)
        model.write_bytes(b"no model any more")
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1)  # uvicorn asks each half second: it waits for an answer now, and would for a minute
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(workers_of(server)) == 2 and not workers_of(server) & before, within_s=30)
        until(server.is_ready)
        assert label_of(server, image()) == "red"
        assert server.stop() == 0


def test_sighup_takes_a_new_file_and_keeps_the_old_one_where_it_is_broken(model: Path, tmp_path: Path, image):
    with running(model, tmp_path, "--workers", "2", "--threads", "1") as server:
        before = workers_of(server)
        model.write_bytes(b"no model any more")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "the models are not replaced" in server.said())
        assert str(model) in server.said().partition("the models are not replaced")[2], "the user's file, not the copy"
        assert workers_of(server) == before
        assert label_of(server, image()) == "red"
        model.write_bytes(colours_onnx(SPEC.model_copy(update={"labels": ("rot", "gruen", "blau")})))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(workers_of(server)) == 2 and not workers_of(server) & before)
        until(lambda: label_of(server, image()) == "rot")
        assert server.stop() == 0
