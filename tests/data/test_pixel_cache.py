from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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


class Warnings(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, message: str) -> None:
        self.said.append(message)


@contextmanager
def _full_disk(_: Path) -> Iterator[Path]:
    raise OSError(28, "No space left on device")
    yield


def test_a_cache_that_cannot_be_written_is_done_without(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, trained = evaluation_pixels(split, PREPROCESS, SILENT), training_pixels(split, 24, SILENT)
    monkeypatch.setenv("IMGC_CACHE", str(split.paths[0].parent / "another"))
    monkeypatch.setattr(module, "atomic_path", _full_disk)
    reporter = Warnings()
    pixels = evaluation_pixels(split, PREPROCESS, reporter)
    assert (pixels == expected).all()
    assert not pixels.flags.writeable
    (said,) = reporter.said
    assert "cannot be written (No space left on device); done without it" in said
    again = training_pixels(split, 24, reporter)
    assert (again.pixels_NHWC == trained.pixels_NHWC).all()
    assert (again.aspect_N == trained.aspect_N).all()
    assert evaluation_pixels(Split("val", (), ()), PREPROCESS, reporter).shape == (0, 32, 32, 3)


def test_more_than_memory_should_hold_says_where_the_cache_could_be(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "atomic_path", _full_disk)
    monkeypatch.setattr(module, "_MAX_MEMORY_BYTES", 70 * 32 * 32 * 3 - 1)
    with pytest.raises(StageError, match=r"cannot write the pixel cache .* No space left on device") as caught:
        evaluation_pixels(split, PREPROCESS, SILENT)
    assert "IMGC_CACHE" in caught.value.hint


def test_an_image_that_cannot_be_read_leaves_nothing(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_late(path: Path, preprocess: Preprocess) -> np.ndarray:
        if path == split.paths[40]:
            raise BadImageError(str(path), "damaged")
        return read_pixels(path, preprocess)

    monkeypatch.setattr(module, "read_pixels", fails_late)
    with pytest.raises(BadImageError, match=r"40\.png"):
        evaluation_pixels(split, PREPROCESS, SILENT)
    assert cached() == []


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [8, 300, -9, -8, -1], ids=["header", "pixels", "last pixel", "mark", "checksum"])
def test_a_damaged_file_is_made_again_and_said_once(split: Split, at: int) -> None:
    expected = np.array(evaluation_pixels(split, PREPROCESS, SILENT))
    (path,) = cached()
    _flip(path, at)
    reporter = Warnings()
    for _ in range(2):
        assert (evaluation_pixels(split, PREPROCESS, reporter) == expected).all()
    assert reporter.said == [f"{path}: this file of the pixel cache is damaged; it is made again"]


@pytest.mark.parametrize("left", [0, 5, 100, 5000])
def test_a_file_that_was_cut_is_made_again(split: Split, left: int) -> None:
    expected = np.array(evaluation_pixels(split, PREPROCESS, SILENT))
    (path,) = cached()
    path.write_bytes(path.read_bytes()[:left])
    reporter = Warnings()
    assert (evaluation_pixels(split, PREPROCESS, reporter) == expected).all()
    assert len(reporter.said) == 1


def test_damaged_aspects_are_made_again_with_their_pixels(split: Split) -> None:
    expected = training_pixels(split, 24, SILENT)
    (path,) = (path for path in cached() if path.stem.endswith("-aspect"))
    _flip(path, -20)
    reporter = Warnings()
    found = training_pixels(split, 24, reporter)
    assert (found.aspect_N == expected.aspect_N).all()
    assert (found.pixels_NHWC == expected.pixels_NHWC).all()
    assert len(reporter.said) == 1


def test_bad_image_is_named(split: Split) -> None:
    split.paths[3].write_bytes(b"x")
    with pytest.raises(BadImageError, match=r"03\.png"):
        training_pixels(split, 24, SILENT)
    assert cached() == []


def test_pixels_and_aspects_are_used_together_and_neither_is_removed_before_the_other(split: Split) -> None:
    training_pixels(split, 24, SILENT)
    for path in cached():
        os.utime(path, (1000, 1000))
    training_pixels(split, 24, SILENT)
    assert len(cached()) == 2
    assert all(path.stat().st_mtime > 1000 for path in cached())


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
