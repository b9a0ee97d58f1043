"""Images made to hurt, and rare ones that are fine, through the door of a running server."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.waiting import until

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

RED, BLUE = (220, 60, 20), (10, 30, 240)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(colour=RED, size=(64, 48)) -> Image.Image:
    return Image.new("RGB", size, colour)


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IEND")


def claiming(kind: str, side: int) -> bytes:
    """Return a file whose header says side x side, with next to nothing behind it."""
    data = bytearray(encoded(plain(), kind))
    if kind == "PNG":
        return png_claiming(side, side, chunk(b"IDAT", zlib.compress(bytes(1000))))
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", side, side)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
        at = data.index(b",\0\0\0\0", 13)
        data[at + 5 : at + 9] = struct.pack("<HH", side, side)
    elif kind == "TIFF":
        start = struct.unpack("<I", data[4:8])[0]
        for row in range(struct.unpack("<H", data[start : start + 2])[0]):
            at = start + 2 + 12 * row
            if struct.unpack("<H", data[at : at + 2])[0] in (256, 257):
                data[at + 2 : at + 12] = struct.pack("<HII", 4, 1, side)
    else:
        canvas = struct.pack("<I", side - 1)[:3] * 2
        frame = bytes(data[12:])
        body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas + frame
        return b"RIFF" + struct.pack("<I", len(body)) + body
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("side", [9000, 30_000, 60_000])
def test_a_header_of_huge_sides(server, kind, side):
    before, used_s = server.peak_mib(), server.cpu_s()
    reply = server.post(claiming(kind, side))
    assert (reply.status, reply.code) == (422, "bad_image")
    assert server.cpu_s() - used_s < 5
    assert server.peak_mib() - before < 100


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
@pytest.mark.parametrize("times", [1, 300])
def test_a_png_with_a_bomb_beside_the_image(server, kind, times):
    middle = b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    bomb = chunk(kind, middle + zlib.compress(bytes(200 << 20 if times == 1 else 1_000_000), 9))
    data = encoded(plain(), "PNG")
    before, used_s = server.peak_mib(), server.cpu_s()
    reply = server.post(data[:33] + bomb * times + data[33:])
    assert reply.status in (200, 422)
    assert server.cpu_s() - used_s < 5
    assert server.peak_mib() - before < 150


def test_a_png_whose_rows_go_on_for_ever(server):
    before = server.peak_mib()
    reply = server.post(png_claiming(64, 64, chunk(b"IDAT", zlib.compress(bytes(500 << 20), 1))))
    assert reply.status in (200, 422)
    assert server.peak_mib() - before < 60


@pytest.mark.slow
def test_the_largest_image_allowed_has_a_bounded_price(server):
    before = server.peak_mib()
    reply = server.post(encoded(Image.new("RGB", (5600, 5600), BLUE), "PNG"))
    assert (reply.status, reply.label) == (200, "blue")
    assert server.peak_mib() - before < 350, "two copies of 4 bytes a pixel"


def test_a_larger_image_is_refused_by_its_header(server):
    before = server.peak_mib()
    reply = server.post(encoded(Image.new("RGB", (5700, 5700), BLUE), "PNG"))
    assert (reply.status, reply.code) == (422, "bad_image")
    assert "5700 x 5700 is more than 32000000 pixels" in reply.json["error"]
    assert server.peak_mib() - before < 50


def test_a_jpeg_of_ten_thousand_scans(server):
    data = encoded(plain(size=(2000, 2000)), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    used_s = server.cpu_s()
    reply = server.post(data[:-2] + scan * 10_000 + data[-2:])
    assert (reply.status, reply.code) == (422, "bad_image")
    assert server.cpu_s() - used_s < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_several_images_in_one_file_are_refused(server, kind):
    data = encoded(plain(), kind, save_all=True, append_images=[plain(BLUE)])
    reply = server.post(data)
    assert (reply.status, reply.code) == (422, "bad_image")
    assert "several" in reply.json["error"]


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(100),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"%PDF-1.7\n", b"PK\3\4" + bytes(60), b"\x7fELF" + bytes(60), b"P6 1 1 255 abc", b"\0\0\1\0\1\0" + bytes(60),
        b"gimp xcf " + bytes(60), b"8BPS\0\1" + bytes(60), b"<!DOCTYPE html>", b"\0" * 1000, b"RIFF\0\0\0\0WAVE",
    ],
)  # fmt: skip
def test_what_is_not_read_here_is_told_so(server, data):
    reply = server.post(data)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


def rotated(orientation: int) -> bytes:
    turn = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    upright = plain(BLUE, (60, 120))
    upright.paste(RED, (0, 0, 60, 60))  # the middle square, which is what is looked at, is red above and blue below
    exif = Image.Exif()
    exif[0x0112] = orientation
    side = turn[orientation]
    return encoded(upright if side is None else upright.transpose(side), "JPEG", exif=exif, quality=95)


def test_a_turned_image_gets_the_answer_of_the_upright_one(server):
    replies = [server.post(rotated(orientation)).json["predictions"] for orientation in (1, 3, 6, 8)]
    for predictions in replies[1:]:
        assert predictions[0]["label"] == replies[0][0]["label"]
        assert [p["score"] for p in predictions] == pytest.approx([p["score"] for p in replies[0]], abs=0.01)


def red_files() -> dict[str, bytes]:
    rgb = plain()
    wide = np.zeros((48, 64), np.uint16) + 60_000
    palette = rgb.quantize(4)
    ycck = encoded(rgb.convert("CMYK"), "JPEG", quality=95)
    return {
        "jpeg": encoded(rgb, "JPEG"),
        "progressive jpeg": encoded(rgb, "JPEG", progressive=True),
        "jpeg with rubbish behind it": encoded(rgb, "JPEG") + b"\xff\xda\xff\xd8rubbish" * 1000,
        "jpeg with a film behind it": encoded(rgb, "JPEG") + np.random.default_rng(0).bytes(6 << 20),
        "cmyk jpeg": ycck,
        "mpo": encoded(rgb, "MPO", save_all=True, append_images=[plain(BLUE)]),
        "grey 16 bits": encoded(Image.fromarray(wide), "PNG"),
        "palette": encoded(palette, "PNG"),
        "palette with transparency": encoded(palette, "PNG", transparency=3),
        "rgba": encoded(rgb.convert("RGBA"), "PNG"),
        "webp": encoded(rgb, "WEBP"),
        "lossless webp": encoded(rgb, "WEBP", lossless=True),
        "bmp": encoded(rgb, "BMP"),
        "gif": encoded(rgb, "GIF"),
        "tiff": encoded(rgb, "TIFF"),
        "deflated tiff": encoded(rgb, "TIFF", compression="tiff_deflate"),
        "jpeg tiff": encoded(rgb, "TIFF", compression="jpeg"),
        "one pixel": encoded(plain(size=(1, 1)), "PNG"),
        "a line": encoded(plain(size=(20_000, 1)), "PNG"),
    }


@pytest.mark.parametrize("name", red_files())
def test_rare_images_that_are_fine(server, name):
    reply = server.post(red_files()[name], "Content-Type: image/png")  # the type need not be the true one
    assert reply.status == 200, reply.body
    assert reply.label == ("red" if name != "grey 16 bits" else reply.label)


def ycck_jpeg() -> bytes:
    """Return a four-channel JPEG whose Adobe marker says YCCK: the first three channels are YCbCr."""
    data = bytearray(encoded(Image.new("CMYK", (32, 32), (90, 128, 128, 0)), "JPEG", quality=95))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def test_ycck_and_float_and_tiled(server):
    assert server.post(ycck_jpeg()).status == 200
    floats = encoded(Image.fromarray(np.ones((16, 16), np.float32)), "TIFF")
    reply = server.post(floats)
    assert (reply.status, reply.code) == (422, "bad_image")
    assert server.post(tiled_tiff(64)).status == 200
    assert server.post(tiled_tiff(40_000)).status == 422


def tiled_tiff(side: int) -> bytes:
    content = zlib.compress(bytes(side * min(side, 1000)))
    content += bytes(len(content) % 2)
    tags = [(256, 32), (257, 32), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, 8)]
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in [*tags, (325, len(content))])
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + struct.pack("<H", 10) + rows + bytes(4)


@pytest.mark.parametrize(
    "kind", ["image/svg+xml", "image/heic", "image/jpeg; charset=x", "IMAGE/PNG", "", "application/octet-stream"]
)
def test_the_bytes_say_what_an_image_is(server, kind):
    assert server.post(encoded(plain(), "JPEG"), f"Content-Type: {kind}").label == "red"


@pytest.mark.parametrize("kind", ["text/html", "application/json", "video/mp4", "x" * 5000])
def test_a_type_that_is_no_image(server, kind):
    assert server.post(encoded(plain(), "JPEG"), f"Content-Type: {kind}").status == 415


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd",
     "/static/..%2f..%2fetc%2fpasswd",
     "//etc/passwd", "/static/page.js%00.png", "/static/%ff%fe", "/v1/classify/../../etc/passwd",
     "/v1//classify", "/.env"],
)  # fmt: skip
def test_no_path_leads_out(server, path):
    reply = server.get(path)
    assert reply.status in (400, 404, 405)
    assert b"root:" not in reply.body


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "%00",
        "a" * 5000,
        "%F0%9F%90%98",
        "colours%0d%0aX-A:%20b",
    ],
)
def test_no_model_name_leads_out(server, image, name):
    reply = server.post(image(), path=f"/v1/classify?model={name}")
    assert (reply.status, reply.code) == (404, "unknown_model")
    assert "x-a" not in reply.headers
    assert len(reply.body) < 1000


def test_the_log_is_still_lines_of_json(server):
    import json

    server.post(claiming("PNG", 10_000))
    until(server.is_idle)
    for line in server.said().splitlines():
        assert line.startswith("info: serving") or json.loads(line), line
