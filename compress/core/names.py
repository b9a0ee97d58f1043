"""What may be the name of a stage, of a run and of a file in a folder; and how many names one line of a message has.

Names that come from a file (a lock, a seal, a bundle's manifest) become parts of paths: they are checked where the file
is read, so that nothing behind that door can lead outside its folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import StringConstraints

STAGE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # the name of a folder below runs/
StageId = Annotated[str, StringConstraints(pattern=rf"^{STAGE_ID.pattern}$")]
RunName = Annotated[str, StringConstraints(pattern=RUN_NAME)]

_MOST_BYTES, _MOST_BYTES_OF_PART = 2048, 255  # POSIX has 4096 and 255; a folder comes before a relative path


def is_inside(name: str) -> bool:
    """Return whether a relative path, as a file says it, stays in its folder by its words alone (links aside).

    One that is longer than file systems allow names nothing.
    """
    path = PurePosixPath(name)
    if len(name.encode()) > _MOST_BYTES or any(len(part.encode()) > _MOST_BYTES_OF_PART for part in path.parts):
        return False
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not set("\0\\") & set(name)


def few(names: Sequence[str], most: int = 5) -> str:
    """Return the names, no more than `most`, and how many others there are: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
