"""Writes the bundled data set: train/ val/ test/ with one folder per class, and a manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compress.core.dataset import DefectsData
from compress.core.digest import sha256_bytes
from compress.core.stage import Reporter
from compress.core.storage import temporary_folder, write_json
from compress.data.defects.box_writer import BoxWriter
from compress.data.defects.image import LABELS, make_image
from compress.errors import DataError, StageError

MANIFEST = "manifest.json"
GENERATOR = "imgc-defects-1"  # raised when the same seed would give other images
_THREADS = 2  # more gain nothing: half of the work holds the interpreter lock
_BLOCK = 256


def parameters(config: DefectsData) -> dict[str, object]:
    """Return everything that decides the images, as JSON."""
    sizes = {"train": config.train, "val": config.val, "test": config.test}
    task = {} if config.task == "classify" else {"task": config.task}
    return {"generator": GENERATOR, "seed": config.seed, "size_px": config.size_px, **task, **sizes}


def write_defects(out: Path, config: DefectsData, reporter: Reporter) -> None:
    """Write the data set into `out`, whole or not at all; a set already written from the same config is left as it is.

    Files are `<split>/<class>/<index>.jpg`, and with boxes `images/<split>_<index>.jpg` and `<split>.json` (COCO).
    `manifest.json` holds the config and, per file, sha256, surface, and label and strength (how plain the flaw is,
    0..1) or the number of flaws.

    Raises:
        DataError: `out` holds something else.
        StageError: the disk is full or not writable.
    """
    if _is_written(out, config):
        reporter.info(f"{out}: already written")
        return
    try:
        temporary = temporary_folder(out.parent)
    except OSError as error:
        raise _cannot_write(out, error) from error
    try:
        _write_all(temporary, config, reporter)
        _rename(temporary, out, config)
    except OSError as error:
        raise _cannot_write(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _cannot_write(out: Path, error: OSError) -> StageError:
    return StageError(
        f"{out}: cannot write the data set: {error.strerror}", hint="choose a folder with room: --out DIR"
    )


def _is_written(out: Path, config: DefectsData) -> bool:
    """Say whether `out` already holds this very set; refuse a folder that holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    found = None
    if (out / MANIFEST).is_file():
        try:
            found = json.loads((out / MANIFEST).read_text())["parameters"]
        except (OSError, ValueError, KeyError, TypeError):
            found = None
    if found == parameters(config):
        return True
    what = f"a data set made with {found}" if found else "something else"
    raise DataError(
        f"{out}: not empty, it holds {what}; wanted {parameters(config)}",
        hint="choose another folder, or remove this one first",
    )


def _rename(temporary: Path, out: Path, config: DefectsData) -> None:
    """Put the finished folder in place; if another process was faster with the same set, keep that one."""
    try:
        os.replace(temporary, out)  # noqa: PTH105 - Path.replace says no more
    except OSError:
        if not _is_written(out, config):
            raise


def _write_all(folder: Path, config: DefectsData, reporter: Reporter) -> None:
    counts = {"train": config.train, "val": config.val, "test": config.test}
    rows: list[dict[str, object]] = []
    with (
        reporter.progress(f"defects: writing {sum(counts.values())} images", sum(counts.values())) as advance,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for split, count in counts.items():
            write = (
                _class_writer(folder, split, config) if config.task == "classify" else BoxWriter(folder, split, config)
            )
            for start in range(0, count, _BLOCK):  # in blocks, so that the bar moves and Ctrl-C is heard
                block = range(start, min(start + _BLOCK, count))
                rows += pool.map(write, block)
                advance(len(block))
            if isinstance(write, BoxWriter):
                write.finish()
    write_json(folder / MANIFEST, {"schema_version": 1, "parameters": parameters(config), "files": rows})


def _class_writer(folder: Path, split: str, config: DefectsData) -> Callable[[int], dict[str, object]]:
    for label in LABELS:
        (folder / split / label).mkdir(parents=True)

    def write(index: int) -> dict[str, object]:
        image = make_image(config.seed, split, index, config.size_px)
        name = f"{split}/{LABELS[image.label]}/{index:06d}.jpg"
        (folder / name).write_bytes(image.jpeg)
        strength = round(image.strength, 3)
        digest = sha256_bytes(image.jpeg)
        label = LABELS[image.label]
        return {"file": name, "sha256": digest, "label": label, "surface": image.surface, "strength": strength}

    return write
