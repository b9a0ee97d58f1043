"""The images that scenarios ask about: JPEG files as bytes, of the user's images or generated."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from pathlib import Path

import numpy as np
from PIL import Image

from compress.data.decode import decode
from compress.data.images import list_images

MOST = 256
_SIZE_PX, _DETAIL_PX = (500, 400), (40, 32)  # (width, height)
_GENERATED, _QUALITY = 64, 85
_START, _COMMENT = b"\xff\xd8", b"\xff\xfe"  # JPEG markers: start of image, comment


def images(data: Path) -> list[bytes]:
    """Return at most `MOST` images, evenly spread, as JPEG files; those of other kinds are stored as JPEG.

    Raises:
        DataError: no images there, or one of them is damaged.
    """
    entries = list_images(data)
    chosen = [entries[index * len(entries) // MOST] for index in range(MOST)] if len(entries) > MOST else entries
    return [_as_jpeg(entry.path) for entry in chosen]


def generated(seed: int = 0) -> list[bytes]:
    """Return images of smooth noise of 500 x 400 pixels: about as dear to decode as an image of that size."""
    random = np.random.default_rng(seed)
    width, height = _DETAIL_PX
    noises = (random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(_GENERATED))
    return [_encoded(Image.fromarray(noise).resize(_SIZE_PX, Image.Resampling.BICUBIC)) for noise in noises]


def never_seen(bodies: Sequence[bytes], mark: str) -> Iterator[bytes]:
    """Yield the JPEG files by turns without end, each with another comment: new bytes, the same pixels.

    Args:
        bodies: JPEG files.
        mark: ASCII text that tells these from those of another call.
    """
    for number, body in zip(count(), cycle(bodies), strict=False):
        text = f"{mark} {number}".encode("ascii")
        yield b"".join((_START, _COMMENT, (len(text) + 2).to_bytes(2, "big"), text, body[len(_START) :]))


def _as_jpeg(path: Path) -> bytes:
    image = decode(path)
    data = path.read_bytes()
    return data if data.startswith(_START) else _encoded(image)


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
