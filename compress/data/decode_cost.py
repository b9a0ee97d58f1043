"""What decoding an image takes in memory, told from its header before the pixels are.

The figures are peaks of the resident set while `read_pixels` ran, measured for each format and mode (12 megapixels,
Pillow 13): they count Pillow's buffers, the decoder's own, and the copies on the way to plain RGB.
`tests/data/test_decode_cost.py` measures them again.
"""

from __future__ import annotations

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_WIDE = 4  # bytes of a pixel of every mode that is not narrow: Pillow keeps RGB in four
_NARROW = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}
_RGB = 4
_LAID_ON_WHITE = 12  # the image as RGBA, a white one, and both laid together
_16_BIT = 8  # as NumPy shifts the values
_WEBP_CANVAS = 9  # libwebp draws the frame and keeps the one before
_COEFFICIENT = 2  # a JPEG of several passes keeps them all until the last: two bytes for each value
_HEVC_PLANES = 8  # libheif's planes, as decoded and as converted
_ROWS = 1  # share of an image whose rows are kept packed beside it, of a TIFF strip or tile and of a BMP's run lengths
_TEXT = 4 << 20  # a PNG's packed text becomes up to a mebicharacter, of four bytes each
_WIDTH, _LENGTH = 256, 257  # TIFF tags, as stored: an orientation may swap the image's sides
_TILE_WIDTH, _TILE_LENGTH, _ROWS_PER_STRIP, _SAMPLES, _BITS = 322, 323, 278, 277, 258  # TIFF tags
_SCAN = 0xDA  # JPEG markers
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})  # without a length: libjpeg passes over them
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_LEAST = 1 << 20  # tables, and what the allocator rounds up


def decoding_bytes(image: Image.Image, full_size: tuple[int, int], data: bytes) -> int:
    """Return the memory in bytes that decoding takes at its peak, a little too much rather than too little.

    Args:
        image: opened, not loaded; where a JPEG is decoded at a smaller scale, `draft` was called already.
        full_size: width and height as the file declares them.
        data: the file's bytes.
    """
    width, height = image.size
    return _LEAST + width * height * _bytes_a_pixel(image) + _beside(image, full_size, data)


def _bytes_a_pixel(image: Image.Image) -> int:
    stored = _NARROW.get(image.mode, _WIDE)
    if image.has_transparency_data:
        return _LAID_ON_WHITE + (0 if image.mode == "RGBA" else stored)
    if image.mode.startswith("I"):
        return stored + _16_BIT + (_16_BIT // 4 if image.mode == "I" else 0)
    return stored + _RGB


def _beside(image: Image.Image, full_size: tuple[int, int], data: bytes) -> int:
    """Return the bytes of what the decoder keeps beside Pillow's images."""
    full = full_size[0] * full_size[1]
    if image.format == "WEBP":
        return full * _WEBP_CANVAS
    if image.format in ("JPEG", "MPO"):
        coefficients = 0 if is_one_scan(data) else _COEFFICIENT * Image.getmodebands(image.mode)
        return full * coefficients + full // 2
    if image.format == "HEIF":
        return full * _HEVC_PLANES
    if image.format == "PNG":
        return full * _ROWS + _TEXT * (data.count(b"zTXt") + data.count(b"iTXt"))
    if isinstance(image, TiffImageFile) and image.info.get("compression") != "raw":
        return _tiff_rows(image)
    return full * _ROWS


def is_one_scan(jpeg: bytes) -> bool:
    """Return whether a JPEG is decoded row by row: sequential, with all its components in the first scan.

    Source: ITU-T T.81, table B.1 (markers), figures B.3 (frame header) and B.4 (scan header).
    """
    at, components = 2, 0
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == _SCAN:
            return jpeg[at + 4 : at + 5] == bytes([components])
        elif marker in _BARE or (marker in _FRAMES and marker not in _SEQUENTIAL):
            return False
        else:
            if marker in _SEQUENTIAL:
                components = int.from_bytes(jpeg[at + 9 : at + 10], "big")
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return False


def _tiff_rows(image: TiffImageFile) -> int:
    """Return the bytes of the largest strip or tile, which libtiff unpacks whole, and of its packed form."""
    tags = image.tag_v2
    bits = tags.get(_BITS, (8,))
    sample = int(tags.get(_SAMPLES, 1)) * (max(bits) + 7) // 8
    tile = int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0))
    width, length = int(tags[_WIDTH]), int(tags[_LENGTH])
    strip = width * min(length, int(tags.get(_ROWS_PER_STRIP, length)))
    return int(2 * sample * (tile or strip))
