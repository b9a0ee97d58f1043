from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from PIL import Image

from compress.benchmark.images import MOST, generated, images, never_seen
from compress.data.decode import decode
from compress.errors import DataError


def test_generated_images_are_different_jpegs_and_the_same_each_time():
    bodies = generated()
    assert len(set(bodies)) == len(bodies) == 64
    assert decode(bodies[0]).size == (500, 400)
    assert bodies == generated()
    assert bodies != generated(1)


def test_images_never_seen_have_new_bytes_and_the_same_pixels():
    bodies = generated()[:2]
    found = list(islice(never_seen(bodies, "a"), 5)) + list(islice(never_seen(bodies, "b"), 5))
    assert len({*found, *bodies}) == 12
    for index, body in enumerate(found):
        assert np.array_equal(np.array(decode(body)), np.array(decode(bodies[index % 5 % 2])))


def test_images_are_sent_as_they_are_and_other_kinds_as_jpeg(tmp_path):
    body = generated()[0]
    (tmp_path / "a.jpg").write_bytes(body)
    Image.new("RGB", (30, 20), (255, 0, 0)).save(tmp_path / "b.png")
    first, second = images(tmp_path)
    assert first == body
    assert second.startswith(b"\xff\xd8")
    assert decode(second).size == (30, 20)


def test_of_many_images_some_are_taken_evenly(tmp_path):
    body = generated()[0]
    for index in range(MOST + 44):
        (tmp_path / f"{index:03}.jpg").write_bytes(body + bytes([index // 256, index % 256]))
    found = images(tmp_path)
    assert len(found) == len(set(found)) == MOST
    assert found[-1].endswith(bytes([1, 298 - 256]))


def test_a_folder_without_images_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no images"):
        images(tmp_path)
