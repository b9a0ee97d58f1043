from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from compress.data import heic
from compress.data.decode import BadImageError, decode
from compress.data.folder import list_folder

pillow_heif = pytest.importorskip("pillow_heif")


@pytest.fixture(scope="module")
def photo() -> bytes:
    """An image of two halves, dark red above light blue, and two black pixels more in width, as HEIC."""
    pixels = np.full((48, 64, 3), (150, 20, 20), np.uint8)
    pixels[24:] = (120, 160, 240)
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=95)
    return file.getvalue()


def test_it_is_decoded(photo):
    assert heic.is_heic(photo)
    image = decode(photo)
    assert (image.size, image.mode) == ((64, 48), "RGB")
    assert np.allclose(image.getpixel((32, 8)), (150, 20, 20), atol=12)
    assert np.allclose(image.getpixel((32, 40)), (120, 160, 240), atol=12)


def test_its_orientation_is_applied_once(photo):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = pillow_heif.from_pillow(decode(photo))
    turned.info["exif"] = exif.tobytes()
    turned.save(file, quality=95)
    image = decode(file.getvalue())
    assert image.size == (48, 64)
    assert np.allclose(image.getpixel((40, 32)), (150, 20, 20), atol=12)


def test_too_many_pixels_are_refused_before_they_are_decoded(photo):
    with pytest.raises(BadImageError, match="64 x 48 is more than 1000 pixels"):
        decode(photo, max_pixels=1000)


@pytest.mark.parametrize("end", [20, 300, -20])
def test_a_damaged_file_is_a_bad_image(photo, end):
    with pytest.raises(BadImageError):
        decode(photo[:end])


def test_without_the_extra_the_way_out_is_told(photo, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic.can_read.cache_clear()
    with pytest.raises(BadImageError, match=r"imgc-toolkit\[heic\].*heif-convert"):
        decode(photo)
    heic.can_read.cache_clear()


def test_it_is_listed_as_an_image(photo, tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "IMG_1.HEIC").write_bytes(photo)
    assert [entry.label for entry in list_folder(tmp_path).splits["train"]] == ["a", "b"]
