"""Class names that other tools pack into a TFLite file: a text in the zip archive behind its end.

Format: https://ai.google.dev/edge/litert/conversion/tensorflow/metadata, "Model with metadata and associated files".
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from compress.core.visible import visible

_MAX_BYTES = 4 << 20
_MAX_FILES = 64
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)


def packed_labels(model: Path | bytes, classes: int) -> tuple[str, ...] | None:
    """Return the names of the first packed text that has one line for each class, None where there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(model) if isinstance(model, bytes) else model) as archive:
            texts = [one for one in archive.infolist()[:_MAX_FILES] if one.filename.lower().endswith(".txt")]
            for one in texts:
                with archive.open(one) as file:
                    names = _names(file.read(_MAX_BYTES + 1))
                if len(names) == classes:
                    return names
    except _DAMAGE:  # no archive, or none that can be read: the file is a model all the same
        return None
    return None


def _names(text: bytes) -> tuple[str, ...]:
    if len(text) > _MAX_BYTES:
        return ()
    lines = text.decode("utf-8", errors="replace").rstrip().splitlines()
    return tuple(visible(line.strip()) for line in lines)
