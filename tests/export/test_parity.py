from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.core.dataset import FolderData
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.export.parity import images, noise, opened

PREPROCESS = Preprocess(resize_px=32, crop_px=32)


@pytest.mark.parametrize(("count", "chosen"), [(1000, range(21)), (3, (0, 10, 20)), (1, (0,))])
def test_validation_images_come_first_then_those_of_the_test(photos, count, chosen):
    data = FolderData(path=photos)
    splits = load_dataset(data, seed=0).splits
    every = [
        image for name in ("val", "test") for image in evaluation_pixels(splits[name], PREPROCESS, SilentReporter())
    ]
    found = images(data, PREPROCESS, count, 0, SilentReporter())
    assert found is not None
    np.testing.assert_array_equal(found, np.stack([every[index] for index in chosen]))


@pytest.mark.parametrize(("count", "made"), [(1000, 256), (3, 3)])
def test_noise_is_at_most_so_many_images(count, made):
    assert noise((3, 8, 8), count, 0).shape == (made, 3, 8, 8)


@pytest.mark.parametrize(("height", "width", "side"), [(8, 4, 16), (8, 100, 100), (5000, 8, 2048)])
def test_a_file_without_a_spec_is_opened_with_a_size_that_a_preprocess_may_have(monkeypatch, height, width, side):
    monkeypatch.setattr("compress.export.parity.open_predictor", lambda path, preprocess: preprocess)
    found = opened(Path("model.onnx"), None, (3, height, width))
    assert (found.resize_px, found.crop_px) == (side, side)
