from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compress.data.pixel_cache as module
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.data.dataset import Split
from compress.data.decode import BadImageError
from compress.data.pixel_cache import evaluation_pixels, training_pixels
from compress.data.transforms import read_pixels
from compress.errors import StageError

PREPROCESS = Preprocess(resize_px=36, crop_px=32)
SILENT = SilentReporter()


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    paths = []
    for index in range(70):  # more than one block
        path = tmp_path / f"{index:02d}.png"
        Image.fromarray(rng.integers(0, 256, (40, 20 + index, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return Split("val", tuple(paths), (0,) * len(paths))


def cached() -> list[Path]:
    return sorted((Path(os.environ["IMGC_CACHE"]) / "pixels").iterdir())


def test_evaluation_pixels_are_read_pixels_in_order_and_mapped(split: Split) -> None:
    pixels = evaluation_pixels(split, PREPROCESS, SILENT)
    assert isinstance(pixels, np.memmap)
    assert not pixels.flags.writeable
    assert (pixels == np.stack([read_pixels(path, PREPROCESS) for path in split.paths])).all()


def test_second_call_decodes_nothing_but_another_geometry_or_content_does(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_pixels(split, PREPROCESS, SILENT)
    calls: list[Path] = []
    monkeypatch.setattr(module, "read_pixels", lambda path, pre: calls.append(path) or read_pixels(path, pre))
    evaluation_pixels(split, PREPROCESS.model_copy(update={"mean": (0.0, 0.0, 0.0)}), SILENT)
    assert calls == []
    evaluation_pixels(split, Preprocess(resize_px=32, crop_px=32), SILENT)
    assert len(calls) == 70
    Image.new("RGB", (30, 30), (1, 2, 3)).save(split.paths[0])
    assert (evaluation_pixels(split, PREPROCESS, SILENT)[0] == [1, 2, 3]).all()


def test_training_pixels_hold_the_whole_image_and_its_aspect(split: Split) -> None:
    for _ in range(2):  # made, then found
        result = training_pixels(split, 24, SILENT)
        assert result.pixels_NHWC.shape == (70, 24, 24, 3)
        assert result.aspect_N.dtype == np.float32
        assert np.allclose(result.aspect_N, [(20 + index) / 40 for index in range(70)])
    with Image.open(split.paths[5]) as image:
        expected = np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR))
    assert (result.pixels_NHWC[5] == expected).all()


def test_empty_split_gives_no_pixels(split: Split) -> None:
    assert evaluation_pixels(Split("val", (), ()), PREPROCESS, SILENT).shape == (0, 32, 32, 3)


def test_failed_write_leaves_nothing_and_explains(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, preprocess: Preprocess) -> np.ndarray:
        if path == split.paths[40]:
            raise OSError(28, "No space left on device")
        return read_pixels(path, preprocess)

    monkeypatch.setattr(module, "read_pixels", full)
    with pytest.raises(StageError, match=r"cannot write the pixel cache .* No space left on device") as caught:
        evaluation_pixels(split, PREPROCESS, SILENT)
    assert "IMGC_CACHE" in caught.value.hint
    assert cached() == []


def test_bad_image_is_named(split: Split) -> None:
    split.paths[3].write_bytes(b"x")
    with pytest.raises(BadImageError, match=r"03\.png"):
        training_pixels(split, 24, SILENT)
    assert cached() == []


def test_least_recently_used_is_removed_first(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = (16, 20, 24)
    for age, px in enumerate(sizes):
        evaluation_pixels(split, Preprocess(resize_px=px, crop_px=px), SILENT)
        newest = max(cached(), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (1000 + age, 1000 + age))
    evaluation_pixels(split, Preprocess(resize_px=16, crop_px=16), SILENT)  # used again
    monkeypatch.setattr(module, "MAX_CACHE_BYTES", sum(70 * px * px * 3 for px in (16, 24, 28)) + 4096)
    stale = Path(os.environ["IMGC_CACHE"]) / "pixels/.tmp-killed.npy"
    stale.write_bytes(b"x")
    os.utime(stale, (1, 1))
    evaluation_pixels(split, Preprocess(resize_px=28, crop_px=28), SILENT)
    assert sorted(np.load(path, mmap_mode="r").shape[1] for path in cached()) == [16, 24, 28]
