"""Keeps the notices that a native library writes on standard error from those who read ours."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_NOTICE = b"INFO: "
_LOCK = threading.Lock()  # the descriptor is the whole process's


@contextmanager
def without_notices() -> Iterator[None]:
    """Hold back what is written on the process's standard error, and pass on all lines but notices.

    Native code writes to the descriptor, past Python. LiteRT announces its delegate with the first interpreter.
    """
    with _LOCK:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # started with a closed one
            yield
            return
        yield from _held_back(kept)


def _held_back(kept: int) -> Iterator[None]:
    with os.fdopen(kept, "wb", buffering=0) as before, tempfile.TemporaryFile() as held:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            held.seek(0)
            before.writelines(line for line in held if not line.startswith(_NOTICE))
