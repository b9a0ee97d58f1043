"""Decoded pixels on disk, memory-mapped: every image is decoded once, not once an epoch.

Shape suffixes: N images, H and W (or S) pixels, C = 3 channels in RGB order.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from compress.core.cache import cache_dir
from compress.core.digest import sha256_json
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.core.storage import atomic_path
from compress.data.dataset import Split
from compress.data.decode import decode
from compress.data.examine import content_sha256, workers
from compress.data.transforms import read_pixels
from compress.errors import StageError

MAX_CACHE_BYTES = 8 * 1024**3
_VERSION = 1  # raised when the same key would mean other pixels
_BLOCK = 64
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class TrainingPixels:
    """Whole images squashed to squares; augmentation crops in the original geometry.

    Attributes:
        pixels_NHWC: u8 [N,S,S,3], memory-mapped, read-only.
        aspect_N: f32 [N], width / height of the upright original.
    """

    pixels_NHWC: NDArray[np.uint8]
    aspect_N: NDArray[np.float32]


def evaluation_pixels(split: Split, preprocess: Preprocess, reporter: Reporter) -> NDArray[np.uint8]:
    """Return `read_pixels` of every image, u8 [N,crop_px,crop_px,3], memory-mapped, read-only.

    Raises:
        BadImageError: a file is no usable image.
        StageError: the cache cannot be written.
    """
    geometry = preprocess.model_dump(include={"resize_px", "crop_px", "interpolation"})
    target = _file(split, "evaluation", geometry)
    if not target.exists():
        _write(target, split, preprocess.crop_px, lambda path: read_pixels(path, preprocess), reporter)
    return _mapped(target)


def training_pixels(split: Split, side_px: int, reporter: Reporter) -> TrainingPixels:
    """Return every whole image squashed to side_px x side_px, and its aspect.

    Raises:
        BadImageError: a file is no usable image.
        StageError: the cache cannot be written.
    """
    target = _file(split, "training", {"side_px": side_px})
    aspects = target.with_name(f"{target.stem}-aspect.npy")
    if not (target.exists() and aspects.exists()):
        aspect: dict[Path, float] = {}

        def squash(path: Path) -> NDArray[np.uint8]:
            image = decode(path, draft_px=2 * side_px)
            aspect[path] = image.width / image.height
            square = image.resize((side_px, side_px), Image.Resampling.BILINEAR)
            return np.array(square, dtype=np.uint8)

        _write(target, split, side_px, squash, reporter)
        values = np.array([aspect[path] for path in split.paths], dtype=np.float32)
        with _writing(aspects, values.nbytes), atomic_path(aspects) as temporary:
            np.save(temporary, values, allow_pickle=False)
    return TrainingPixels(_mapped(target), np.load(aspects, allow_pickle=False))


def _file(split: Split, purpose: str, geometry: dict[str, object]) -> Path:
    contents = [content_sha256(path) for path in split.paths]
    key = {"version": _VERSION, "purpose": purpose, "geometry": geometry, "pillow": PIL.__version__, "files": contents}
    return cache_dir() / "pixels" / f"{sha256_json(key)}.npy"


def _mapped(path: Path) -> NDArray[np.uint8]:
    os.utime(path)  # the time of last use, by which the oldest is removed
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return pixels


def _write(
    target: Path, split: Split, side: int, read: Callable[[Path], NDArray[np.uint8]], reporter: Reporter
) -> None:
    """Write the pixels in order through plain writes: a full disk is then an error, not a bus error in a mapping."""
    shape = (len(split.paths), side, side, 3)
    size = int(np.prod(shape))
    _make_room(target.parent, size)
    label = f"decoding {split.name}"
    with (
        _writing(target, size),
        atomic_path(target) as temporary,
        temporary.open("wb") as file,
        reporter.progress(label, len(split.paths)) as advance,
        ThreadPoolExecutor(workers()) as pool,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in _blocks(split.paths):
            for pixels in pool.map(read, block):
                file.write(pixels.tobytes())
            advance(len(block))


@contextmanager
def _writing(target: Path, size: int) -> Iterator[None]:
    """Turn a failure to write into an error that says where, how much, and what to do."""
    try:
        yield
    except OSError as error:
        raise StageError(
            f"{target}: cannot write the pixel cache of {size / 1e6:.0f} MB: {error.strerror}",
            hint="free some space, or set IMGC_CACHE to a folder with room",
        ) from error


def _blocks(paths: Sequence[Path]) -> list[Sequence[Path]]:
    return [paths[start : start + _BLOCK] for start in range(0, len(paths), _BLOCK)]


def _make_room(folder: Path, needed: int) -> None:
    """Remove the least recently used files until `needed` more bytes fit, and what killed processes left behind."""
    if not folder.is_dir():
        return
    files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir() if path.is_file())
    total = sum(size for _, size, _ in files)
    for used_at, size, path in files:
        writing = path.name.startswith(".tmp-")
        if writing and time.time() - used_at < _STALE_SECONDS:
            continue
        if writing or total + needed > MAX_CACHE_BYTES:
            path.unlink(missing_ok=True)
            total -= size
