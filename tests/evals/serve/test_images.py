from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from compress.errors import UsageError
from evals.serve.images import LARGE_PX, SIZE_PX, make_images


def test_images_are_of_one_size_and_taken_from_everywhere(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    out.mkdir()
    for index, shade in enumerate((10, 90, 170, 250)):
        folder = photos / f"class{index}"
        folder.mkdir(parents=True)
        Image.new("RGB", (30 + index, 60), (shade,) * 3).save(folder / "photo.png")
    found = make_images(photos, out, count=2)
    assert len(found.small) == 2
    shades = []
    for path in found.small:
        with Image.open(path) as image:
            assert (image.format, image.size) == ("JPEG", SIZE_PX)
            shades.append(int(np.asarray(image).mean()))
    assert shades == [10, 170]
    assert found.bodies() == [path.read_bytes() for path in found.small]
    with Image.open(found.large) as image:
        assert image.size == LARGE_PX
        assert np.asarray(image.resize((8, 8))).min() > 5  # no part of it is left black


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no images"):
        make_images(tmp_path, tmp_path)
