"""A server of a few lines in a process of its own, for tests of what starts, watches and loads servers."""

from __future__ import annotations

import sys
from pathlib import Path

from compress.report.serve_pictures import Pictures
from compress.report.serve_rounds import Setting
from compress.report.serve_targets import Target

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


def tiny_target(source: str = SOURCE, *, name: str = "tiny", model: Path = Path("model.onnx")) -> Target:
    return Target(name, model, (sys.executable, "-c", source, "{port}"), "/classify", "/ready")


def tiny_setting(folder: Path, **numbers: float) -> Setting:
    """Return a setting of two "pictures", of which the tiny server tells one right."""
    small = [folder / "hat.jpg", folder / "other.jpg"]
    for path in small:
        path.write_bytes(path.stem.encode())
    files = folder / "model.onnx", folder / "model.tflite"
    for path in files:
        path.write_bytes(b"model")
    return Setting(*files, Pictures(small, small[0]), folder / "no-rivals", **numbers)
