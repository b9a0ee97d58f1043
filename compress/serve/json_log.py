"""The server's log: one JSON object a line on standard error, so that a collector needs no pattern."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import UTC, datetime

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


def log_as_json() -> None:
    """Send the server's own log, and uvicorn's warnings, to standard error."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # no JSON, their text is a stranger's, and each is remembered
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in _NAMES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "imgc" else logging.WARNING)
