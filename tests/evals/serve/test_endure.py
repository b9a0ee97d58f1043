from __future__ import annotations

import pytest

from compress.errors import StageError
from evals.serve import endure
from evals.serve.endure import measure_restarts, measure_soak
from tests.evals.serve.tiny import SOURCE, tiny_setting, tiny_target

# A parent that holds the socket and two children that serve it; SIGHUP replaces them one after the other.
WITH_WORKERS = SOURCE.replace(
    'Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()',
    """
import os, signal
server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
def worker():
    if pid := os.fork():
        return pid
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGTERM})
    signal.signal(signal.SIGTERM, lambda *_: signal.setitimer(signal.ITIMER_REAL, 0.05))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    server.serve_forever()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGTERM})
workers = [worker(), worker()]
while (got := signal.sigwait({signal.SIGHUP, signal.SIGTERM})) == signal.SIGHUP:
    for index, old in enumerate(workers):
        workers[index] = worker()
        os.kill(old, signal.SIGTERM)
        os.waitpid(old, 0)
for pid in workers:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""",
)


@pytest.fixture
def serve(monkeypatch):
    """Return a function that makes `ours` another server."""

    def other(source):
        monkeypatch.setattr(endure, "ours", lambda model, workers=1: tiny_target(source))

    return other


def test_a_soak_counts_requests_and_what_went_wrong(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(endure, "RSS_REQUESTS", 10)
    serve(SOURCE)
    found = measure_soak(tiny_setting(tmp_path, soak=60, connections=3), lambda line: None)
    assert (found.requests, found.lost, found.not_ok) == (60, 0, 0)
    assert found.rss_before_bytes > 1 << 20


def test_what_a_soak_loses_is_counted(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(endure, "RSS_REQUESTS", 0)
    forgets = "        Handler.count = getattr(Handler, 'count', 0) + 1\n        if Handler.count % 5 == 0: "
    serve(SOURCE.replace("        body = ", forgets + "self.close_connection = True; return\n        body = "))
    found = measure_soak(tiny_setting(tmp_path, soak=50, connections=1), lambda line: None)
    assert (found.requests, found.lost) == (50, 10)


def test_processes_are_replaced_while_clients_ask(tmp_path, serve):
    serve(WITH_WORKERS)
    found = measure_restarts(tiny_setting(tmp_path, restarts=4), lambda line: None)
    assert found.restarts >= 4
    assert found.requests > 0
    assert found.not_ok == 0


def test_a_server_that_replaces_nothing_is_an_error(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(endure, "_RESTART_S", 0.3)
    serve(SOURCE.replace("class Handler", "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nclass Handler"))
    with pytest.raises(StageError, match="only 0 of 2"):
        measure_restarts(tiny_setting(tmp_path, restarts=2), lambda line: None)
