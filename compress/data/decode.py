"""The one door for photographs: any supported file becomes an upright RGB picture of 8 bits, or a `BadImageError`.

What each kind becomes: greyscale and 1-bit are repeated in three channels; 16-bit greyscale keeps its high byte;
palettes are looked up; transparency is laid on white; CMYK and other colour spaces are converted by Pillow; the EXIF
orientation is applied; floating-point, animated and many-page files are refused, since no single picture is meant.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from compress.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 64_000_000  # below the size from which Pillow warns
_WHITE = (255, 255, 255, 255)
# What Pillow's decoders raise on damaged files, beside OSError (whose subclass UnidentifiedImageError is).
_DAMAGE = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, SyntaxError, struct.error, OverflowError)


class BadImageError(DataError):
    """One file that is no usable photograph; `reason` says why, without the file's name."""

    def __init__(self, name: str, reason: str) -> None:
        """Keep the reason; `name` is the file, or what the bytes came from."""
        super().__init__(f"{name}: {reason}", hint="replace the file, or set `data.on_bad_image: skip`")
        self.reason = reason


def decode(source: Path | bytes, *, draft_px: int | None = None) -> Image.Image:
    """Return the picture as upright 8-bit RGB.

    Args:
        source: a file, or a file's bytes.
        draft_px: when the picture will be shrunk anyway: a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as
            both sides keep this many pixels. Several times faster for large photographs.

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
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return _decoded(image, draft_px)
    except _Refused as refusal:
        raise BadImageError(name, str(refusal)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(name, f"more than {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        raise BadImageError(name, f"not a picture of a supported format ({', '.join(FORMATS)})") from error
    except _DAMAGE as error:
        raise BadImageError(name, f"damaged: {error}") from error


class _Refused(Exception):  # noqa: N818 - never leaves this file
    """A picture that could be decoded, but must not be."""


def _read(path: Path) -> bytes:
    """Return the file's bytes, one more than allowed at most, so that a huge file is not read whole."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            return file.read(MAX_BYTES + 1)
        return file.read()


def _decoded(image: Image.Image, draft_px: int | None) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _Refused(f"{width} x {height} is more than {MAX_PIXELS} pixels")
    # A phone's MPO file is a JPEG with previews or depth behind the photograph; only the first picture is meant.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise _Refused(f"animated or several pages ({frames} frames)")
    if draft_px is not None:
        image.draft("RGB", (draft_px, draft_px))
    image.load()
    return _to_rgb(ImageOps.exif_transpose(image))


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
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, _WHITE), upper).convert("RGB")
    return image.convert("RGB")


def _from_32_bit(image: Image.Image) -> Image.Image:
    """Return a 32-bit picture that holds 16-bit values (as Pillow opens some PNG and TIFF files)."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise _Refused("32-bit pixels beyond 16 bits have no defined brightness")
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
