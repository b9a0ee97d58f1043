"""Class names in a text file of their own, one a line, as most tools keep them beside a model."""

from __future__ import annotations

from pathlib import Path

from compress.core.regular_file import read_regular
from compress.core.visible import visible
from compress.errors import UsageError

_MAX_BYTES = 64 << 20


def labels_in(path: Path) -> tuple[str, ...]:
    """Return the class names of a file in their order; empty lines at the end are no names.

    Raises:
        UsageError: the file cannot be read, is no UTF-8 text, or has no names.
    """
    hint = "give a text file of UTF-8 with one class name a line, in the order of the model's answers"
    try:
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})", hint=hint) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: no UTF-8 text ({error})", hint=hint) from None
    labels = tuple(visible(line.strip()) for line in text.rstrip().splitlines())
    if not labels:
        raise UsageError(f"{path}: holds no class names", hint=hint)
    return labels
