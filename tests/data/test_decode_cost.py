"""What an image is said to take is measured: the peak of a fresh process that decodes it."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from compress.data.decode import BadImageError, decode
from compress.data.decode_cost import is_one_scan

SIDE = 2400
DRAFT_PX = 256
PROGRAM = """
import os, sys
from compress.core.preprocess import Preprocess
from compress.data.transforms import read_pixels

PREPROCESS = Preprocess(resize_px=256, crop_px=224)

def kib(name):
    return int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

def measure(small, large):
    read_pixels(small, PREPROCESS)  # loads the codec
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins again, see proc(5)
    before = kib("VmRSS")
    read_pixels(large, PREPROCESS)
    return (kib("VmHWM") - before) * 1024

def given():
    while size := sys.stdin.buffer.read(8):
        yield sys.stdin.buffer.read(int.from_bytes(size, "big"))

files = list(given())
for small, large in zip(files[::2], files[1::2]):
    if os.fork() == 0:  # each in a process whose memory no other image has used
        print(measure(small, large), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
KINDS = {
    "JPEG": ("JPEG", "RGB", {}),
    "JPEG grey": ("JPEG", "L", {}),
    "JPEG progressive": ("JPEG", "RGB", {"progressive": True}),
    "JPEG progressive 4:4:4": ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
    "PNG": ("PNG", "RGB", {}),
    "PNG transparent": ("PNG", "RGBA", {}),
    "PNG grey transparent": ("PNG", "LA", {}),
    "PNG palette": ("PNG", "P", {}),
    "PNG palette transparent": ("PNG", "P", {"transparency": 3}),
    "PNG 1 bit": ("PNG", "1", {}),
    "PNG 16 bit": ("PNG", "I;16", {}),
    "WebP": ("WEBP", "RGB", {}),
    "WebP transparent": ("WEBP", "RGBA", {"lossless": True}),
    "BMP": ("BMP", "RGB", {}),
    "GIF": ("GIF", "P", {}),
    "TIFF": ("TIFF", "RGB", {}),
    "TIFF one strip": ("TIFF", "RGB", {"compression": "tiff_lzw", "tiffinfo": {278: SIDE}}),
    "TIFF CMYK": ("TIFF", "CMYK", {}),
    "TIFF transparent": ("TIFF", "RGBA", {"compression": "tiff_adobe_deflate"}),
}


def _image(mode: str, side: int) -> Image.Image:
    """Return squares of random colours: quickly written, and of no format's simplest kind."""
    square = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 4), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(square[..., 0].astype(np.uint16) << 8).resize((side, side), Image.Resampling.NEAREST)
    start = {"LA": "LA", "CMYK": "CMYK", "RGB": "RGB", "RGBA": "RGBA"}.get(mode, "L")
    bands = len(start)
    image = Image.frombytes(start if mode != "CMYK" else "CMYK", square.shape[:2], square[..., :bands].tobytes())
    return image.resize((side, side), Image.Resampling.NEAREST).convert(mode)


def _encoded(kind: str, side: int = SIDE) -> bytes:
    fmt, mode, options = KINDS[kind]
    file = io.BytesIO()
    _image(mode, side).save(file, fmt, **options)
    return file.getvalue()


def _said_bytes(data: bytes) -> int:
    said: list[int] = []
    decode(data, draft_px=DRAFT_PX, afford=said.append)
    (cost,) = said
    return cost


@pytest.fixture(scope="module")
def large() -> dict[str, bytes]:
    return {kind: _encoded(kind) for kind in KINDS}


@pytest.fixture(scope="module")
def taken_bytes(large: dict[str, bytes]) -> dict[str, int]:
    """Return what decoding each large image took at its peak."""
    files = [data for kind in KINDS for data in (_encoded(kind, 64), large[kind])]
    given = b"".join(len(data).to_bytes(8, "big") + data for data in files)
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=given, capture_output=True, check=True)
    return dict(zip(KINDS, map(int, done.stdout.split()), strict=True))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_enough_and_no_more_than_three_times_what_is_taken(
    large: dict[str, bytes], taken_bytes: dict[str, int], kind: str
) -> None:
    said, taken = _said_bytes(large[kind]), taken_bytes[kind]
    slack = 2 << 20  # what the interpreter itself takes meanwhile
    assert taken <= said + slack
    assert said <= 3 * taken + 2 * slack


def test_a_bomb_of_two_kilobytes_is_said_to_take_a_gigabyte_before_it_does() -> None:
    file = io.BytesIO()
    Image.new("RGB", (16_000, 3_900), (9, 99, 9)).save(file, "WEBP", lossless=True)
    assert len(file.getvalue()) < 4000

    class RefusedError(Exception):
        pass

    def refuse(cost_bytes: int) -> None:
        assert cost_bytes > 1e9
        raise RefusedError

    with pytest.raises(RefusedError):
        decode(file.getvalue(), afford=refuse)


@pytest.mark.parametrize(("options", "one"), [({}, True), ({"progressive": True}, False)])
def test_a_jpeg_s_header_tells_whether_it_is_decoded_row_by_row(options: dict[str, bool], one: bool) -> None:
    file = io.BytesIO()
    image = _image("RGB", 64)
    exif = Image.Exif()
    exif[0x010E] = "a description, so that a segment lies before the frame"
    image.save(file, "JPEG", exif=exif, **options)
    assert is_one_scan(file.getvalue()) is one


@pytest.mark.parametrize("cut", [0, 2, 3, 5, 150])
def test_of_a_jpeg_that_ends_early_the_worst_is_thought(cut: int) -> None:
    file = io.BytesIO()
    _image("RGB", 64).save(file, "JPEG")
    assert not is_one_scan(file.getvalue()[:cut])


def test_a_sequential_jpeg_of_several_scans_is_not_decoded_row_by_row() -> None:
    file = io.BytesIO()
    _image("RGB", 64).save(file, "JPEG")
    data = bytearray(file.getvalue())
    at = data.index(b"\xff\xda")
    data[at + 4] = 1  # the first scan has one component of three
    assert not is_one_scan(bytes(data))


@pytest.mark.parametrize("bare", [b"\xff\xd0", b"\xff\x01", b"\xff\x00"])
def test_a_marker_without_a_length_before_the_frame_hides_nothing(bare: bytes) -> None:
    """Read as if it had one, it would lead to a sequential frame inside a segment; libjpeg passes over it."""
    one, many = io.BytesIO(), io.BytesIO()
    image = _image("RGB", 64)
    image.save(one, "JPEG")
    image.save(many, "JPEG", progressive=True)
    hidden = one.getvalue()[2:]
    segment = b"\xff\xef" + (2 + len(hidden)).to_bytes(2, "big") + hidden
    data = b"\xff\xd8" + bare + segment + many.getvalue()[2:]
    assert not is_one_scan(data)


def _png_with_texts(count: int) -> bytes:
    texts = PngInfo()
    for n in range(count):
        texts.add_itxt(f"k{n}", "\U0001f600" + "a" * 500_000, zip=True)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def test_packed_texts_of_a_png_are_counted_and_many_are_refused() -> None:
    assert _said_bytes(_png_with_texts(8)) >= 32 << 20
    with pytest.raises(BadImageError, match="more than 8 packed texts"):
        decode(_png_with_texts(9))


def test_a_turned_tiff_has_the_rows_that_it_stores() -> None:
    sizes = []
    for orientation in (1, 6):
        file = io.BytesIO()
        tags = {278: 100, 274: orientation}
        _image("CMYK", 800).crop((0, 0, 800, 100)).save(file, "TIFF", compression="tiff_lzw", tiffinfo=tags)
        sizes.append(_said_bytes(file.getvalue()))
    assert sizes[0] == sizes[1]
