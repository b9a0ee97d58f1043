"""The one door for reading files that others named: regular files only, and no more than is asked for.

A FIFO would be waited for without end, and `/dev/zero` behind a link would be read without end.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_JSON_BYTES = 64 << 20  # of a file of facts: a lock, a seal, a bench.json, a bundle's manifest


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read, if it is a regular one.

    Raises:
        OSError: it cannot be opened, or `strerror` says what it is instead.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, f"not a regular file, but {_kind(mode)}", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as `open_regular` raises it, or the file is larger.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size  # a read of so many bytes makes room for all of them first
        data = file.read(min(size, max_bytes) + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes} bytes", str(path))
    return data


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")
