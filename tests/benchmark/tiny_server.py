"""A server of a few lines in a process of its own, for tests of what starts, watches and loads servers."""

from __future__ import annotations

import sys

from compress.benchmark.server_process import ServerProcess, free_port

SOURCE = """
import http.server, sys, time
from socketserver import ThreadingMixIn
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(200 if self.path == "/ready" else 404, b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b'{"predictions": [{"label": "%s"}]}' % (b"hat" if body == b"hat" else b"shoe"))
    def log_message(self, *_): pass
class Server(ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 128
    daemon_threads = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def start_tiny(source: str = SOURCE, cores: set[int] | None = None) -> ServerProcess:
    port = free_port()
    command = [sys.executable, "-c", source, str(port)]
    return ServerProcess(command, port=port, ready_path="/ready", cores=cores or {0})
