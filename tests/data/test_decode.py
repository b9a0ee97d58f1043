from __future__ import annotations

import contextlib
import io
import re
import struct
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compress.data.decode as module
from compress.data.decode import BadImageError, decode

RAMP = np.linspace(0, 255, 48, dtype=np.uint8).reshape(1, 48).repeat(32, axis=0)


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def photo(width: int = 48, height: int = 32) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "GIF", "TIFF", "JPEG", "WEBP"])
def test_every_format_becomes_rgb(fmt: str) -> None:
    image = decode(encoded(Image.new("RGB", (20, 10), (200, 40, 90)), fmt))
    assert (image.mode, image.size) == ("RGB", (20, 10))
    assert np.abs(np.asarray(image).astype(int) - [200, 40, 90]).max() <= 6


def test_greyscale_is_repeated() -> None:
    assert (np.asarray(decode(encoded(Image.fromarray(RAMP), "PNG"))) == RAMP[:, :, None]).all()


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_16_bit_keeps_the_high_byte(fmt: str) -> None:
    wide = RAMP.astype(np.uint16) * 256 + 255
    assert (np.asarray(decode(encoded(Image.fromarray(wide), fmt))) == RAMP[:, :, None]).all()


def test_32_bit_within_16_bits_is_read_and_beyond_is_refused() -> None:
    values = RAMP.astype(np.int32) * 256
    assert (np.asarray(decode(encoded(Image.fromarray(values), "TIFF"))) == RAMP[:, :, None]).all()
    with pytest.raises(BadImageError, match="beyond 16 bits"):
        decode(encoded(Image.fromarray(values * 256), "TIFF"))


def test_palette_is_looked_up() -> None:
    image = Image.new("RGB", (8, 8), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert np.asarray(decode(encoded(image, "PNG")))[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    pixels = np.asarray(
        decode(encoded(image if mode == "PA" else image.convert(mode), "GIF" if mode == "PA" else "PNG"))
    )
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert pixels[0, 7].tolist() == [255, 255, 255]


def test_colour_key_transparency_is_laid_on_white() -> None:
    image = Image.new("RGB", (4, 4), (255, 0, 255))
    assert np.asarray(decode(encoded(image, "PNG", transparency=(255, 0, 255))))[0, 0].tolist() == [255, 255, 255]


def test_cmyk_is_converted() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = np.asarray(decode(encoded(image, "JPEG", quality=95)))[8, 8].tolist()
    assert red > 230
    assert max(green, blue) < 40


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("RGB", (40, 24), (255, 255, 255))
    upright.paste((255, 0, 0), (0, 0, 20, 12))
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(upright.transpose(turn), "JPEG", exif=exif, quality=95))
    assert image.size == (40, 24)
    assert np.abs(np.asarray(image)[5, 8].astype(int) - [255, 0, 0]).max() < 12


def test_animated_is_refused() -> None:
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 90, 200)]
    for fmt in ("GIF", "PNG", "WEBP"):
        data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], duration=50)
        with pytest.raises(BadImageError, match="animated or several pages"):
            decode(data)


def test_first_image_of_a_phones_mpo_is_taken() -> None:
    data = encoded(Image.new("RGB", (16, 16), (0, 0, 255)), "MPO", save_all=True, append_images=[photo()])
    assert decode(data).size == (16, 16)


@pytest.mark.parametrize("draft_px", [None, 8])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_truncated_is_found_in_draft_too(fmt: str, draft_px: int | None) -> None:
    data = encoded(photo(256, 200), fmt)
    with pytest.raises(BadImageError):
        decode(data[: int(len(data) * 0.8)], draft_px=draft_px)


@pytest.mark.parametrize(
    "data", [b"", b"hello, no image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n" + bytes(40), b"<svg/>"]
)
def test_rubbish_is_a_bad_image(data: bytes) -> None:
    with pytest.raises(BadImageError):
        decode(data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damaged TIFF tags and EXIF
def test_bit_flips_never_escape_as_another_error() -> None:
    rng = np.random.default_rng(1)
    for fmt in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = np.frombuffer(encoded(photo(), fmt), dtype=np.uint8)
        for _ in range(40):
            broken = whole.copy()
            broken[rng.integers(0, len(broken), 12)] = rng.integers(0, 256, 12)
            with contextlib.suppress(BadImageError):
                assert decode(broken.tobytes()).mode == "RGB"


def test_too_many_pixels_or_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(), "PNG")
    with pytest.raises(BadImageError, match="48 x 32 is more than 1535 pixels"):
        decode(data, max_pixels=48 * 32 - 1)
    assert decode(data, max_pixels=48 * 32).size == (48, 32)
    monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
    with pytest.raises(BadImageError, match="file larger"):
        decode(data)


@pytest.mark.parametrize("side", [9_000, 12_000, 50_000])  # Pillow: silent, a warning, an error
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bomb_is_refused(side: int) -> None:
    data = encoded(Image.new("L", (4, 4)), "PNG")
    header = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    claimed = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    with pytest.raises(BadImageError, match="pixels"):
        decode(claimed)


def test_float_pixels_are_refused() -> None:
    with pytest.raises(BadImageError, match="floating-point"):
        decode(encoded(Image.fromarray(RAMP.astype(np.float32)), "TIFF"))


def test_file_is_named_and_absent_file_is_bad(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(BadImageError, match=r"empty\.jpg: empty file") as caught:
        decode(path)
    assert caught.value.reason == "empty file (0 bytes)"
    with pytest.raises(BadImageError, match="No such file"):
        decode(tmp_path / "absent.jpg")


def test_draft_shrinks_but_keeps_enough() -> None:
    image = decode(encoded(photo(512, 400), "JPEG"), draft_px=100)
    assert image.size == (128, 100)


def with_scans(count: int, size: tuple[int, int] = (64, 64), *, tail: bytes = b"") -> bytes:
    """Return a progressive JPEG whose last scan is there `count` times more."""
    data = encoded(Image.new("RGB", size, (200, 20, 30)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * count + data[-2:] + tail


def test_a_jpeg_of_very_many_scans_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", None)  # each scan would take 10 ms
        with pytest.raises(BadImageError, match="more than 64 scans"):
            decode(with_scans(20_000, (4000, 4000)))
    assert decode(with_scans(40)).size == (64, 64)


class Searched:
    """The pattern of a marker, which remembers from which place on it was looked for."""

    def __init__(self) -> None:
        self.marker = module._MARKER
        self.from_place: list[tuple[int, bytes]] = []

    def search(self, data: bytes, at: int) -> re.Match[bytes] | None:
        self.from_place.append((at, data))
        return self.marker.search(data, at)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x01", b"\xff\xd0", b"\xff\x00", b"\x00"])
def test_scans_are_counted_as_the_decoder_reads_them(filler: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_scans(200)
    end = data.rindex(b"\xff\xda")
    with pytest.raises(BadImageError, match="more than 64 scans"):  # nothing before a scan hides it
        decode(data[:end].replace(b"\xff\xda", filler * 4 + b"\xff\xda") + data[end:])
    hung_on = b"\xff\xda" * 500 + filler * 3_000_000
    searched = Searched()
    monkeypatch.setattr("compress.data.decode._MARKER", searched)
    assert decode(with_scans(2, tail=hung_on)).size == (64, 64), "what hangs on an image is no scan of it"
    with contextlib.suppress(BadImageError):  # no end: to the last byte, but once
        decode(with_scans(2)[:-2] + hung_on)
    assert searched.from_place
    for (before, data), (after, next_data) in pairwise(searched.from_place):
        assert next_data is not data or after > before, "no byte is read twice"


def test_a_png_of_very_many_profiles_is_refused() -> None:
    content = b"a\0\0" + zlib.compress(bytes(1_000_000))
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content + struct.pack(">I", zlib.crc32(b"iCCP" + content))
    data = encoded(photo(), "PNG")
    assert decode(data[:33] + chunk + data[33:]).size == (48, 32)
    with pytest.raises(BadImageError, match="colour profiles"):
        decode(data[:33] + chunk * 500 + data[33:])


def tiff(width: int, height: int, coding: int, content: bytes, more: Sequence[tuple[int, int]] = ()) -> bytes:
    """Return a TIFF with one strip or tile of these bytes; `more` are tags and values."""
    tags = [(256, width), (257, height), (258, 1), (259, coding), (262, 0), (277, 1), *more]
    tags += [(324, 8), (325, len(content))] if more else [(273, 8), (278, height), (279, len(content))]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags))
    content += bytes(len(content) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + struct.pack("<H", len(tags)) + rows + bytes(4)


@pytest.mark.parametrize("coding", [2, 3, 4])
def test_a_fax_is_refused_since_each_of_its_rows_may_write_to_the_log(coding: int, capfd) -> None:
    with pytest.raises(BadImageError, match="fax"):
        decode(tiff(8, 10_000, coding, np.random.default_rng(0).bytes(5000)))
    assert capfd.readouterr().err == ""


def test_a_small_image_in_a_huge_tile_is_refused() -> None:
    content = zlib.compress(bytes(100_000))
    with pytest.raises(BadImageError, match="a tile of more than"):
        decode(tiff(16, 16, 8, content, [(322, 40_000), (323, 40_000)]))


def test_pages_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("P", (8, 8)), "GIF")
    frame = b"," + struct.pack("<HHHH", 0, 0, 8, 8) + b"\x00\x02\x00"
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.n_frames", property(lambda _: pytest.fail("they are counted")))
    with pytest.raises(BadImageError, match="animated"):
        decode(data[:-1] + frame * 20 + b";")


@pytest.mark.parametrize("value", [-1, 65_536])
def test_32_bit_pixels_beyond_16_bits_are_refused(value: int) -> None:
    within = np.full((4, 4), 65_535, np.int32)
    assert decode(encoded(Image.fromarray(within), "TIFF")).getpixel((0, 0)) == (255, 255, 255)
    within[2, 1] = value
    with pytest.raises(BadImageError, match="beyond 16 bits"):
        decode(encoded(Image.fromarray(within), "TIFF"))
