from __future__ import annotations

import http.server
import threading

import pytest

from compress.errors import StageError
from evals.serve.wrk import has_wrk, parse, wrk_loop

PRINTED = """Running 2s test @ http://127.0.0.1:1/x
  1 threads and 16 connections
RESULT {"duration_us": 2000000, "p50_us": 1500.0, "p99_us": 3500.0, "lost": 3, "counts": [["200", 80], ["503", 17]]}
"""


def test_what_the_script_prints_is_read():
    found = parse(PRINTED)
    assert found.sent == 100
    assert found.statuses == {0: 3, 200: 80, 503: 17}
    assert found.ok_per_s == 40
    assert (found.p50_ms, found.p99_ms) == (1.5, 3.5)


def test_other_words_are_an_error():
    with pytest.raises(StageError, match="no result"):
        parse("unable to connect")


@pytest.mark.skipif(not has_wrk(), reason="wrk is not installed (Debian's package wrk)")
def test_wrk_posts_the_files_by_turns(tmp_path):
    bodies = []

    class Server(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "image/jpeg"
            self.send_response(200 if self.path == "/v1/classify" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """Say nothing of connections that wrk breaks off at its end."""

    files = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for index, file in enumerate(files):
        file.write_bytes(b"\xff\x00\r\n" * (index + 1))
    with Quiet(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = wrk_loop(server.server_port, "/v1/classify", files, connections=1, seconds=1)
        server.shutdown()
    assert set(found.statuses) == {200}
    assert found.ok_per_s > 0
    assert {bodies[0], bodies[1]} == {file.read_bytes() for file in files}
    assert bodies[:2] == bodies[2:4]
