from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from compress.detect.answers import Boxes
from compress.report.thumbnails import drawn_thumbnails, thumbnail


def test_an_image_becomes_a_small_jpeg_of_its_shape(tmp_path) -> None:
    Image.new("RGB", (800, 400), (200, 30, 30)).save(tmp_path / "a.png")
    uri = thumbnail(tmp_path / "a.png")
    assert uri is not None
    kind, data = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as small:
        assert small.size == (160, 80)


def test_boxes_are_drawn_where_they_are_in_the_small_image(tmp_path) -> None:
    Image.new("RGB", (960, 480), "grey").save(tmp_path / "a.png")
    boxes = Boxes(np.array([[480, 160, 800, 400]], np.float32), np.array([0.9], np.float32), np.array([7]))
    nothing = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    uris = drawn_thumbnails(tmp_path / "a.png", [nothing, boxes], {7: "bolt"})
    assert uris is not None
    before, after = (_pixels(uri) for uri in uris)
    assert before.shape == after.shape == (120, 240, 3)
    changed = (np.abs(before.astype(int) - after) > 40).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert (columns[0], columns[-1]) == (pytest.approx(120, abs=2), pytest.approx(200, abs=2))
    assert rows[-1] == pytest.approx(100, abs=2)
    assert not changed[50:90, 130:190].any(), "a frame, not a patch"


def _pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_what_is_gone_or_no_image_has_none(tmp_path) -> None:
    (tmp_path / "b.jpg").write_text("text")
    assert thumbnail(tmp_path / "a.jpg") is None
    assert thumbnail(tmp_path / "b.jpg") is None
    assert drawn_thumbnails(tmp_path / "b.jpg", [], {}) is None
