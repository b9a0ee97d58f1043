"""Images of every format that is read, small, and who reads them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

SIDE = 24
_KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGB", {}),
    ("PNG", "RGBA", {}),
    ("PNG", "P", {"transparency": 0}),
    ("PNG", "I;16", {}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("BMP", "RGB", {}),
    ("BMP", "P", {}),
    ("GIF", "P", {}),
    ("TIFF", "RGB", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "L", {"compression": "jpeg"}),
    ("TIFF", "RGBA", {"compression": "tiff_adobe_deflate"}),
)


def images() -> list[bytes]:
    """Return one image of each kind; the JPEG is turned by its EXIF, a PNG carries a text and a colour profile."""
    return [_image(*kind) for kind in _KINDS]


def _image(kind: str, mode: str, options: dict[str, Any]) -> bytes:
    plain = Image.radial_gradient("L").resize((SIDE, SIDE - 4))
    wide = Image.fromarray(np.asarray(plain).astype(np.uint16) * 200)
    image = wide if mode == "I;16" else plain.convert("RGB").convert(mode)
    more: dict[str, Any] = {}
    if kind == "JPEG":
        exif = Image.Exif()
        exif[0x0112] = 6
        more["exif"] = exif
    if kind == "PNG":
        more["pnginfo"] = PngImagePlugin.PngInfo()
        more["pnginfo"].add_itxt("comment", "a text" * 20, zip=True)
    file = io.BytesIO()
    image.save(file, kind, **options, **more)
    return file.getvalue()


def read_image(path: Path) -> None:
    """Take it to a model's pixels, as everything here does."""
    from compress.core.preprocess import Preprocess
    from compress.data.transforms import read_pixels

    pixels_HWC = read_pixels(path, Preprocess(resize_px=16, crop_px=16))
    assert pixels_HWC.shape == (16, 16, 3), pixels_HWC.shape
