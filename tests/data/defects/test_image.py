from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from compress.data.defects.flaws import FLAWS
from compress.data.defects.image import LABELS, make_image


def test_same_numbers_same_bytes_and_every_number_counts() -> None:
    first = make_image(3, "train", 8, 64)
    np.random.seed(5)  # the global state must not matter
    assert make_image(3, "train", 8, 64) == first
    others = [make_image(4, "train", 8, 64), make_image(3, "val", 8, 64), make_image(3, "train", 15, 64)]
    assert all(other.jpeg != first.jpeg and other.label == first.label for other in others)


@pytest.mark.parametrize("size_px", [64, 96, 256])
def test_every_class_at_every_size(size_px: int) -> None:
    assert ("ok", *FLAWS) == LABELS
    for index in range(len(LABELS)):
        made = make_image(0, "test", index, size_px)
        with Image.open(io.BytesIO(made.jpeg)) as image:
            assert (image.mode, image.size) == ("RGB", (size_px, size_px))
            assert np.asarray(image).std() > 2
        assert made.label == index
        assert (made.strength > 0) == (index > 0)


def test_three_surfaces_come_up() -> None:
    assert {make_image(0, "train", index, 64).surface for index in range(20)} == {"metal", "wood", "fabric"}
