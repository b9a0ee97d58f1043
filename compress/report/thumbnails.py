"""Images small enough to stand in a page: data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from compress.data.decode import BadImageError, decode

_SIDE_PX = 160
_QUALITY = 70


def thumbnail(path: Path) -> str | None:
    """Return the image as a JPEG of at most 160 pixels a side in a data URI; None if it cannot be read."""
    try:
        image = decode(path, draft_px=_SIDE_PX)
    except BadImageError:
        return None
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
