"""The process: signals, files, streams and memory."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.serve.abuse.real_server import form, request, running
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_the_model_file_may_be_replaced_overwritten_and_deleted(onnx_file, image, tmp_path):
    model = tmp_path / "model.onnx"
    shutil.copy(onnx_file, model)
    with running(model, tmp_path, "--cache-mib", "0") as server:
        body = image((200, 90, 20), size=(90, 70))
        first = server.post(body).json

        def same() -> bool:
            now = server.post(body).json
            return now["predictions"] == first["predictions"] and now["version"] == first["version"]

        other = tmp_path / "other"
        other.write_bytes(b"not a model")
        other.replace(model)
        assert same()
        model.write_bytes(onnx_file.read_bytes())
        with model.open("r+b") as file:  # in place: what is mapped into memory would change, or be gone
            file.truncate(10)
        assert same()
        model.unlink()
        assert all(same() for _ in range(20))
        assert server.stop() == 0


class Caller(threading.Thread):
    """Asks without a pause on one kept connection until a reply says that it ends; each request must get its reply."""

    def __init__(self, server, body, name):
        super().__init__(daemon=True)
        self.server, self.body, self.tag = server, body, name
        self.answered = self.lost = 0
        self.odd: list[object] = []

    def run(self):
        with self.server.connect() as wire:
            for i in range(100_000):
                try:
                    wire.send(request(self.body, f"X-Request-Id: {self.tag}-{i}"))
                    reply = wire.reply()
                except OSError:
                    self.lost += 1
                    return
                self.answered += 1
                if reply.status != 200 or reply.headers["x-request-id"] != f"{self.tag}-{i}":
                    self.odd.append(reply)
                if reply.headers.get("connection") == "close":
                    if not wire.ended():
                        self.odd.append("a second reply")
                    return


def test_sigterm_under_load_answers_every_request_it_had(onnx_file, image, tmp_path):
    body = image(size=(200, 150))
    with running(onnx_file, tmp_path, "--cache-mib", "0") as server:
        callers = [Caller(server, body, f"c{i}") for i in range(8)]
        halves = [server.connect() for _ in range(4)]
        for i, wire in enumerate(halves):
            wire.send(request(b"", f"X-Request-Id: h{i}", "Expect: 100-continue", length=len(body)))
            assert wire.reply().status == 100
        for caller in callers:
            caller.start()
        until(lambda: all(caller.answered for caller in callers))
        server.process.send_signal(signal.SIGTERM)
        for i, wire in enumerate(halves):
            wire.send(body)
            reply = wire.reply()
            assert (reply.status, reply.headers["x-request-id"]) == (200, f"h{i}")
            assert wire.ended()
            wire.close()
        for caller in callers:
            caller.join(30)
        assert server.process.wait(30) == 0
    assert [caller.odd for caller in callers] == [[]] * 8
    assert sum(caller.lost for caller in callers) == 0
    assert min(caller.answered for caller in callers) > 0
    assert server.said().count("\n") <= 1, server.said()


def refuses(server) -> bool:
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


def test_a_request_that_crosses_the_end_on_a_kept_connection_is_answered(onnx_file, image, tmp_path):
    with running(onnx_file, tmp_path) as server, server.connect() as wire:
        wire.send(request(image()))
        assert wire.reply().status == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(server))
        wire.send(request(image()))
        reply = wire.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert wire.ended()
        assert server.process.wait(30) == 0


def no_file_may_grow() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no file may grow", "no folder for temporary files"])
def test_a_full_disk_does_not_matter(onnx_file, image, tmp_path, kind):
    nowhere = {"TMPDIR": str(tmp_path / "none"), "TEMP": str(tmp_path / "none"), "TMP": str(tmp_path / "none")}
    more = {"preexec_fn": no_file_may_grow} if kind == "no file may grow" else {"env": {**os.environ, **nowhere}}
    big = image(kind="PNG", size=(1000, 800))
    assert len(big) > 1 << 20, "Starlette would put it on the disk"
    with running(onnx_file, tmp_path, "--log-requests", "1", quiet=True, **more) as server:
        for body in (image(), big):
            line, parts = form([body, body])
            assert server.post(body).label == "red"
            reply = server.post(parts, line)
            assert [one["predictions"][0]["label"] for one in reply.json["results"]] == ["red", "red"]
        assert server.stop() == 0


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_is_not_some_clients_socket(onnx_file, image, tmp_path, stream):
    with running(onnx_file, tmp_path, "--log-requests", "1", quiet=True, preexec_fn=lambda: os.close(stream)) as server:
        assert [server.post(image()).status for _ in range(5)] == [200] * 5
        assert server.post(image()[:100]).status == 422
        assert Path(f"/proc/{server.process.pid}/fd/{stream}").readlink() == Path(os.devnull)
        assert server.stop() == 0


def test_a_log_that_nobody_reads_any_more(onnx_file, image, tmp_path):
    """The reader is gone: every line fails with EPIPE."""
    reader, writer = os.pipe()
    with running(onnx_file, tmp_path, "--log-requests", "1", stderr=writer) as server:
        os.close(writer)
        os.close(reader)
        assert [server.post(image()).status for _ in range(5)] == [200] * 5
        assert server.stop() == 0


def test_a_log_whose_reader_stands_still(onnx_file, image, tmp_path):
    """The pipe is full: a line written by the event loop would wait for ever, and everybody with it."""
    reader, writer = os.pipe()
    with running(onnx_file, tmp_path, "--log-requests", "1", stderr=writer) as server:
        os.close(writer)
        name = "n" * 60
        for i in range(700):  # about 150 bytes each, into 65,536
            assert server.post(image(), f"X-Request-Id: {name}{i:04}").status == 200
        assert server.stop() == 0
    os.close(reader)


@pytest.mark.slow
def test_memory_and_files_stay_flat(onnx_file, image, tmp_path):
    bodies = [image(), image((10, 30, 240), kind="PNG"), image()[:300], b"rubbish", b"", image(size=(900, 700))]
    line, parts = form([image(), b"x"])
    with running(onnx_file, tmp_path, "--cache-mib", "0") as server:

        def some(count: int) -> None:
            for i in range(count):
                with server.connect() as wire:
                    for body in bodies:
                        wire.send(request(body))
                        assert wire.reply().status in (200, 400, 415, 422)
                    wire.send(request(parts, line))
                    assert wire.reply().status == 200
                    wire.send(request(bodies[0])[: 100 + i % 300])

        some(120)
        until(server.is_idle)
        rss, files = server.rss_mib(), server.files()
        some(430)
        until(server.is_idle)
        assert server.rss_mib() - rss < 12, "about 3,000 requests; a leak of 4 KiB each would show"
        assert server.files() - files <= 3
        assert server.stop() == 0
