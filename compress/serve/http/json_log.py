"""The server's log: one JSON object a line on standard error, so that a collector needs no pattern."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from queue import Full, Queue
from time import monotonic, sleep
from typing import TextIO

_WAITING = 1000
_FLUSH_S = 1.0
_NAMES = ("imgc", "uvicorn")


class JsonLines(logging.Formatter):
    """Writes time, level, logger, message, the facts of a request, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class PatientLines(QueueHandler):
    """Writes lines in a thread of its own, so that a reader who stands still cannot stop the server.

    A full pipe blocks who writes to it. Beyond `_WAITING` lines that wait, new ones are dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        waiting: Queue[logging.LogRecord] = Queue(_WAITING)
        super().__init__(waiting)
        self._waiting = waiting
        self.setFormatter(JsonLines())
        threading.Thread(target=self._write, args=(stream,), name="imgc-log", daemon=True).start()

    def enqueue(self, record: logging.LogRecord) -> None:
        """Hand over a record, which `prepare` has made a line."""
        with suppress(Full):
            self._waiting.put_nowait(record)

    def flush(self) -> None:
        """Wait a moment for what was handed over; the interpreter calls this at its end."""
        until_s = monotonic() + _FLUSH_S
        while self._waiting.unfinished_tasks and monotonic() < until_s:
            sleep(0.01)

    def _write(self, stream: TextIO | None) -> None:
        while True:
            record = self._waiting.get()
            with suppress(OSError, ValueError):  # nobody reads, or the stream is closed
                _put(stream, f"{record.msg}\n")
            self._waiting.task_done()


def _put(stream: TextIO | None, line: str) -> None:
    """Write a line, past Python's buffer where there is a file: its lock, held by a blocked thread, hangs the exit."""
    if stream is None:
        return
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        stream.write(line)
    else:
        os.write(number, line.encode(errors="backslashreplace"))


def log_as_json() -> None:
    """Send the server's own log, and uvicorn's warnings, to standard error."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # no JSON, their text is a stranger's, and each is remembered
    handler = PatientLines(sys.stderr)
    for name in _NAMES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "imgc" else logging.WARNING)
