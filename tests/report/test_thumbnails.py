from __future__ import annotations

import base64
import io

from PIL import Image

from compress.report.thumbnails import thumbnail


def test_an_image_becomes_a_small_jpeg_of_its_shape(tmp_path) -> None:
    Image.new("RGB", (800, 400), (200, 30, 30)).save(tmp_path / "a.png")
    uri = thumbnail(tmp_path / "a.png")
    assert uri is not None
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (160, 80)


def test_what_is_gone_or_no_image_has_none(tmp_path) -> None:
    (tmp_path / "b.jpg").write_text("text")
    assert thumbnail(tmp_path / "a.jpg") is None
    assert thumbnail(tmp_path / "b.jpg") is None
