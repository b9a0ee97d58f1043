from __future__ import annotations

import os
import sys

import pytest

from compress.benchmark.server_process import ServerProcess, answers, family, free_port, pinned
from compress.errors import StageError
from tests.benchmark.tiny_server import SOURCE, start_tiny
from tests.waiting import until

WITH_A_CHILD = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'while True: pass'])\n{SOURCE}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_is_ready_is_watched_and_is_stopped():
    with start_tiny() as server:
        assert answers(server.port, "/ready")
        assert not answers(server.port, "/nothing")
        assert 0 < server.ready_s < 30
        assert server.rss_bytes() > 1 << 20
        assert server.cpu_s() > 0
        pid = server.pid
    assert not alive(pid)
    assert not answers(server.port, "/ready")


def test_children_are_counted_and_stopped_too():
    with start_tiny(WITH_A_CHILD) as server:
        _, child = server.pids()
        before_s = server.cpu_s()
        until(lambda: server.cpu_s() - before_s > 0.1)  # the child's; the server does nothing
    until(lambda: not alive(child))
    assert len(family(child)) == 1


def test_a_server_that_ends_says_what_it_printed():
    with pytest.raises(StageError, match="exit code 3: no such model"):
        start_tiny("import sys\nprint('no such model', flush=True)\nsys.exit(3)")


def test_a_server_that_is_never_ready_is_stopped(monkeypatch):
    patience_s = 1.0

    def asked(self, path, end_s):
        until(self.printed)
        wait_ready(self, path, end_s - patience_s)

    wait_ready = ServerProcess._wait_ready
    monkeypatch.setattr(ServerProcess, "_wait_ready", asked)
    command = [sys.executable, "-c", "import signal\nprint('still loading', flush=True)\nsignal.pause()"]
    with pytest.raises(StageError, match="not ready in time: still loading"):
        ServerProcess(command, port=free_port(), ready_path="/", cores={0}, patience_s=patience_s)


def test_a_command_that_does_not_exist_is_an_error():
    with pytest.raises(StageError, match="cannot be started"):
        ServerProcess(["/no/such/python"], port=free_port(), ready_path="/", cores={0})


def test_a_process_runs_on_the_cores_it_is_given():
    everywhere = os.sched_getaffinity(0)
    one = {min(everywhere)}
    with start_tiny(cores=one) as server:
        assert os.sched_getaffinity(server.pid) == one
    assert os.sched_getaffinity(0) == everywhere
    with pinned({10_000}):
        assert os.sched_getaffinity(0) == everywhere


def test_a_server_may_choose_its_port_and_print_it():
    source = SOURCE.replace("Server((", "server = Server((").replace(").serve_forever()", ")")
    source += "print(f'serving tiny on http://127.0.0.1:{server.server_port}', flush=True)\nserver.serve_forever()"
    command = [sys.executable, "-c", source, "0"]
    with ServerProcess(command, port=0, ready_path="/ready", cores={0}) as server:
        assert answers(server.port, "/ready")
