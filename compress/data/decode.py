"""The one door for images: any supported file becomes an upright RGB image of 8 bits, or a `BadImageError`.

What each kind becomes: greyscale and 1-bit are repeated in three channels; 16-bit greyscale keeps its high byte;
palettes are looked up; transparency is laid on white; CMYK and other colour spaces are converted by Pillow; the EXIF
orientation is applied; HEIC needs the extra `heic`; floating-point, animated and many-page files are refused, since no
single image is meant.

A stranger's file is decoded in bounded time and memory: what would take a thread for minutes is refused before.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from compress.core.regular_file import open_regular
from compress.data.decode_cost import decoding_bytes
from compress.data.heic import FORMAT, WAY_OUT, can_read, is_heic
from compress.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 64_000_000  # below the size from which Pillow warns
MAX_SCANS = 64  # a progressive JPEG has about 10; each is a pass over the whole image, and may take 10 bytes only
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # with a length; not a stuffed byte, nor a restart in a scan
_EOI, _SOS = 0xD9, 0xDA
_MAX_PROFILES = 8  # a PNG has one; Pillow inflates a mebibyte for each of a hundred thousand
_MAX_TEXTS = 8  # which Pillow unpacks, each to 4 MiB at most, when it reads the header
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags
# libtiff writes a line on standard error for each damaged row of these, and a small file may claim millions of rows
_FAX = ("group3", "group4", "tiff_ccitt", "tiff_raw_16")
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)  # EXIF tag; its values that exchange width and height
_MIRRORED_X, _MIRRORED_Y = (2, 3, 7, 8), (3, 4, 6, 7)  # orientations that turn left and right, or top and bottom
_WHITE = (255, 255, 255, 255)
# What Pillow's decoders raise on damaged files, beside OSError (whose subclass UnidentifiedImageError is).
_DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, SyntaxError, struct.error, OverflowError)


@dataclass(frozen=True)
class Sizes:
    """Width and height of an image as its file stores it and as it is shown, and the EXIF orientation between them."""

    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """Return width and height of the upright image."""
        return self.stored[::-1] if self.orientation in _QUARTER_TURNS else self.stored

    def turn_boxes(self, corners_B4: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return boxes (x0, y0, x1, y1) in pixels of the stored image as boxes in pixels of the upright one."""
        width, height = self.stored
        x0, y0, x1, y1 = corners_B4.T
        if self.orientation in _MIRRORED_X:
            x0, x1 = width - x1, width - x0
        if self.orientation in _MIRRORED_Y:
            y0, y1 = height - y1, height - y0
        if self.orientation in _QUARTER_TURNS:
            x0, y0, x1, y1 = y0, x0, y1, x1
        return np.stack([x0, y0, x1, y1], axis=1)


class BadImageError(DataError):
    """One file that is no usable image; `reason` says why, without the file's name."""

    def __init__(self, name: str, reason: str) -> None:
        """Keep the reason; `name` is the file, or what the bytes came from."""
        super().__init__(f"{name}: {reason}", hint="replace the file")
        self.reason = reason


def decode(
    source: Path | bytes,
    *,
    draft_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    afford: Callable[[int], None] | None = None,
) -> Image.Image:
    """Return the image as upright 8-bit RGB; see `decode_sized`."""
    return decode_sized(source, draft_px=draft_px, max_pixels=max_pixels, afford=afford)[0]


def decode_sized(
    source: Path | bytes,
    *,
    draft_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    afford: Callable[[int], None] | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the image as upright 8-bit RGB, and width and height of the whole upright image.

    Args:
        source: a file, or a file's bytes.
        draft_px: when the image will be shrunk anyway: a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as
            both sides keep this many pixels. Several times faster for large images.
        max_pixels: most pixels that the file may declare, `MAX_PIXELS` or fewer.
        afford: called with the bytes of memory that decoding takes at its peak, before it begins; may raise.

    Raises:
        BadImageError: empty, too large, not one of `FORMATS`, truncated, damaged, animated, or of float pixels.
    """
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else _read(source)
    except OSError as error:
        raise BadImageError(name, f"cannot be read: {error.strerror}") from error
    if not data:
        raise BadImageError(name, "empty file (0 bytes)")
    if len(data) > MAX_BYTES:
        raise BadImageError(name, f"file larger than {MAX_BYTES} bytes")
    try:
        _check_passes(data)
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            _check_header(image, max_pixels)
            full_size = image.size
            if draft_px is not None:
                image.draft("RGB", (draft_px, draft_px))
            if afford is not None:
                afford(decoding_bytes(image, full_size, data))
            image.load()
            sizes = Sizes(_stored_size(image, full_size), _orientation(image))
            return _decoded(image), sizes.upright
    except _Refused as refusal:
        raise BadImageError(name, str(refusal)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(name, f"more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise BadImageError(name, f"not an image of a supported format ({', '.join(FORMATS)})") from error
    except _DAMAGE as error:
        raise BadImageError(name, f"damaged: {error}") from error


def sizes_of(path: Path) -> Sizes:
    """Return an image's size and orientation; a PNG is decoded for them, since EXIF may stand at its end.

    Raises:
        BadImageError: it cannot be read, or is refused by `decode` too.
    """
    try:
        data = _read(path)
        _check_passes(data)
        with Image.open(io.BytesIO(data), formats=_formats(data)) as image:
            _check_header(image, MAX_PIXELS)
            size = image.size
            orientation = _orientation(image)
            return Sizes(_stored_size(image, size), orientation)
    except (_Refused, Image.DecompressionBombError, Image.DecompressionBombWarning, *_DAMAGE) as error:
        raise BadImageError(str(path), f"its header cannot be read: {error}") from error


def _formats(data: bytes) -> tuple[str, ...]:
    if not is_heic(data):
        return FORMATS
    if not can_read():
        raise _Refused(WAY_OUT)
    return (FORMAT,)


class _Refused(Exception):  # noqa: N818 - never leaves this file
    """An image that could be decoded, but must not be."""


def _read(path: Path) -> bytes:
    """Return the file's bytes, one more than allowed at most, so that a huge file is not read whole."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            return file.read(MAX_BYTES + 1)
        return file.read()


def _check_passes(data: bytes) -> None:
    """Refuse what makes a decoder do the same work again and again; good files are passed by one fast count."""
    if data.startswith(b"\x89PNG") and data.count(b"iCCP") > _MAX_PROFILES:
        raise _Refused(f"a PNG of more than {_MAX_PROFILES} colour profiles")
    if data.startswith(b"\x89PNG") and data.count(b"zTXt") + data.count(b"iTXt") > _MAX_TEXTS:
        raise _Refused(f"a PNG of more than {_MAX_TEXTS} packed texts")
    # A thumbnail or a film that hangs on a JPEG makes the count too high: only then is it looked at closely.
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        _check_scans(data)


def _check_scans(data: bytes) -> None:
    """Refuse a JPEG of very many scans, counted from marker to marker as libjpeg reads them."""
    scans, at = 0, 2
    while (found := _MARKER.search(data, at)) is not None and found[1][0] != _EOI:
        scans += found[1][0] == _SOS
        if scans > MAX_SCANS:
            raise _Refused(f"a JPEG of more than {MAX_SCANS} scans")
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")


def _check_header(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise _Refused(f"{width} x {height} is more than {max_pixels} pixels")
    # A phone's MPO file is a JPEG with previews or depth behind the image; only the first image is meant.
    # Whether there are more is asked, not how many: counting walks through the whole file.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise _Refused("animated or several pages")
    if isinstance(image, TiffImageFile):
        _check_tiff(image)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none that says anything."""
    found = image.getexif().get(_ORIENTATION)
    return found if isinstance(found, int) and found in range(1, 9) else 1


def _stored_size(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height as the file stores them, of a size that Pillow told: of a turned TIFF the upright one."""
    tells_upright = isinstance(image, TiffImageFile) and image.tag_v2.get(_ORIENTATION) in _QUARTER_TURNS
    return size[::-1] if tells_upright else size


def _decoded(image: Image.Image) -> Image.Image:
    """Return a loaded image as upright RGB."""
    ImageOps.exif_transpose(image, in_place=True)  # a copy of the largest image would be a quarter of a gigabyte
    return _to_rgb(image)


def _check_tiff(image: TiffImageFile) -> None:
    if image.info.get("compression") in _FAX:
        raise _Refused("a fax-coded page is no image")
    tile = image.tag_v2.get(_TILE_WIDTH, 1) * image.tag_v2.get(_TILE_LENGTH, 1)
    if tile > MAX_PIXELS:  # a small image's one tile may be huge
        raise _Refused(f"a tile of more than {MAX_PIXELS} pixels")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()  # of the plain class, free of the file it came from
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "I":
        return _from_32_bit(image)
    if image.mode == "F":
        raise _Refused("floating-point pixels have no defined brightness")
    if image.has_transparency_data:
        upper = image if image.mode == "RGBA" else image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, _WHITE), upper).convert("RGB")
    return image.convert("RGB")


def _from_32_bit(image: Image.Image) -> Image.Image:
    """Return a 32-bit image that holds 16-bit values (as Pillow opens some PNG and TIFF files)."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise _Refused("32-bit pixels beyond 16 bits have no defined brightness")
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
