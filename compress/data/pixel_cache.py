"""Decoded pixels on disk, memory-mapped: every image is decoded once, not once an epoch.

Shape suffixes: N images, H and W (or S) pixels, C = 3 channels.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
_VERSION = 2  # raised when the same key would mean other pixels
_BLOCK = 64
_STALE_SECONDS = 24 * 3600
_MAX_MEMORY_BYTES = 2 * 1024**3  # of pixels that are held where they cannot be written
_CHUNK_BYTES = 1 << 20
_END, _MAGIC = struct.Struct(">4sI"), b"crc4"  # behind the array: a mark, and the CRC-32 of all before it


@dataclass(frozen=True)
class TrainingPixels:
    """Whole images squashed to squares; augmentation crops in the original geometry.

    Attributes:
        pixels_NHWC: u8 [N,S,S,3] in RGB order, memory-mapped, read-only.
        aspect_N: f32 [N], width / height of the upright original.
    """

    pixels_NHWC: NDArray[np.uint8]
    aspect_N: NDArray[np.float32]


def evaluation_pixels(split: Split, preprocess: Preprocess, reporter: Reporter) -> NDArray[np.uint8]:
    """Return `read_pixels` of every image, u8 [N,crop_px,crop_px,3], read-only; memory-mapped where it is cached.

    Raises:
        BadImageError: a file is no usable image.
        StageError: the cache cannot be written, and the pixels are too many to be held in memory.
    """
    geometry = preprocess.model_dump(include={"resize_px", "crop_px", "interpolation"})
    geometry |= preprocess.model_dump(include={"channel_order", "fit"}, exclude_defaults=True)
    target = _file(split, "evaluation", geometry)
    if _is_whole(target, reporter):
        return _mapped(target)
    return _made(target, split, preprocess.crop_px, lambda path: read_pixels(path, preprocess), reporter)


def training_pixels(split: Split, side_px: int, reporter: Reporter) -> TrainingPixels:
    """Return every whole image squashed to side_px x side_px, and its aspect.

    Raises:
        BadImageError: a file is no usable image.
        StageError: the cache cannot be written, and the pixels are too many to be held in memory.
    """
    target = _file(split, "training", {"side_px": side_px})
    aspects = target.with_name(f"{target.stem}-aspect.npy")
    if _is_whole(target, reporter) and _is_whole(aspects, reporter):
        return TrainingPixels(_mapped(target), _aspects(aspects))
    aspect: dict[Path, float] = {}

    def squash(path: Path) -> NDArray[np.uint8]:
        image = decode(path, draft_px=2 * side_px)
        aspect[path] = image.width / image.height
        square = image.resize((side_px, side_px), Image.Resampling.BILINEAR)
        return np.array(square, dtype=np.uint8)

    pixels_NHWC = _made(target, split, side_px, squash, reporter)
    aspect_N = np.array([aspect[path] for path in split.paths], dtype=np.float32)
    with suppress(OSError):  # the pixels were not kept either, or are made again
        _write(aspects, aspect_N.shape, "<f4", [aspect_N])
    return TrainingPixels(pixels_NHWC, aspect_N)


def _file(split: Split, purpose: str, geometry: dict[str, object]) -> Path:
    contents = [content_sha256(path) for path in split.paths]
    key = {"version": _VERSION, "purpose": purpose, "geometry": geometry, "pillow": PIL.__version__, "files": contents}
    return cache_dir() / "pixels" / f"{sha256_json(key)}.npy"


def _is_whole(path: Path, reporter: Reporter) -> bool:
    """Return whether a cached array is there and is what was written; say so where it is there and damaged."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            left = file.tell() - _END.size
            file.seek(0)
            checksum = 0
            while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
                checksum, left = zlib.crc32(chunk, checksum), left - len(chunk)
            whole = file.read() == _END.pack(_MAGIC, checksum)
    except OSError:  # not there, or not readable: then it is not used
        return False
    if not whole:
        reporter.warn(f"{path}: this file of the pixel cache is damaged; it is made again")
    return whole


def _mapped(path: Path) -> NDArray[np.uint8]:
    _see_use(path)
    pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return pixels


def _aspects(path: Path) -> NDArray[np.float32]:
    _see_use(path)
    aspect_N: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return aspect_N


def _see_use(path: Path) -> None:
    """Note the time of last use, by which the oldest is removed."""
    with suppress(OSError):  # of another user: it is read all the same
        os.utime(path)


def _made(
    target: Path, split: Split, side: int, read: Callable[[Path], NDArray[np.uint8]], reporter: Reporter
) -> NDArray[np.uint8]:
    """Decode all images into the cache; where it cannot be written, into memory."""
    shape = (len(split.paths), side, side, 3)
    try:
        _make_room(target.parent, math.prod(shape))
        _write(target, shape, "|u1", _decoded(split, read, reporter))
        return _mapped(target)
    except OSError as error:
        _check_memory(target, math.prod(shape), error)
        reporter.warn(f"{target.parent}: the pixel cache cannot be written ({error.strerror}); done without it")
    blocks = list(_decoded(split, read, reporter))
    pixels_NHWC = np.concatenate(blocks) if blocks else np.empty(shape, dtype=np.uint8)
    pixels_NHWC.flags.writeable = False
    return pixels_NHWC


def _check_memory(target: Path, size: int, error: OSError) -> None:
    if size > _MAX_MEMORY_BYTES:
        raise StageError(
            f"{target}: cannot write the pixel cache of {size / 1e6:.0f} MB: {error.strerror}",
            hint="free some space, or set IMGC_CACHE to a folder with room",
        ) from error


def _decoded(
    split: Split, read: Callable[[Path], NDArray[np.uint8]], reporter: Reporter
) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of all images in order, u8 [B,H,W,3], B of up to 64."""
    label = f"decoding {split.name}"
    with reporter.progress(label, len(split.paths)) as advance, ThreadPoolExecutor(workers()) as pool:
        for block in _blocks(split.paths):
            yield np.stack(list(pool.map(read, block)))
            advance(len(block))


def _write(target: Path, shape: tuple[int, ...], dtype: str, blocks: Iterable[NDArray[np.generic]]) -> None:
    """Write an array and its checksum, by plain writes: a full disk is then an error, not a bus error in a mapping."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        checksum = 0
        for data in itertools.chain([header.getvalue()], (block.tobytes() for block in blocks)):
            file.write(data)
            checksum = zlib.crc32(data, checksum)
        file.write(_END.pack(_MAGIC, checksum))


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
