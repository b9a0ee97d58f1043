"""`LogReporter`: what stages say, in Python's log under the name `compress`; for programs that import us."""

from __future__ import annotations

import logging

from compress.core.stage import SilentReporter
from compress.core.visible import visible

_LOG = logging.getLogger("compress")


class LogReporter(SilentReporter):
    """Logs what is told at the levels INFO and WARNING; shows no bars."""

    def info(self, text: str) -> None:
        """Log one line of progress."""
        _LOG.info("%s", visible(text, keep="\n"))

    def warn(self, text: str) -> None:
        """Log one line that the user should act on."""
        _LOG.warning("%s", visible(text, keep="\n"))
