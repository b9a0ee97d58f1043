"""COCO JSON: a folder with `images/` and `train.json`, `val.json`, `test.json` as a listing of images with boxes.

What annotation tools get wrong has a defined answer. A box of negative width or height is turned around, one that
reaches beyond its image is cut at its sides, one of less than a pixel is left out; each kind is counted and listed. A
box of an unknown class or image, or of numbers that are none, is an error. Crowds (`iscrowd`) are left out. An image
without boxes stays: it teaches the background.

Boxes that were drawn on the unturned pixels of an image that EXIF turns by a quarter are turned with it: the size
that the file says tells which they are. Of a square image, one that EXIF mirrors or turns by a half, and one
without a size in the file, it cannot tell: there the boxes are taken as those of the upright image.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.core.names import is_inside
from compress.core.regular_file import read_regular
from compress.core.stage import Reporter
from compress.core.visible import visible
from compress.data.decode import BadImageError, Sizes, sizes_of
from compress.data.listing import SPLITS, Entry, Listing, listed
from compress.errors import DataError

MAX_JSON_BYTES = 512 * 1024 * 1024
_LEAST_PX = 1.0  # sides of a box; less is a slip of the hand
_Number = Annotated[float, Field(allow_inf_nan=False)]
Floats = NDArray[np.float32]


class _Lenient(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Image(_Lenient):
    id: int | str
    file_name: str = Field(min_length=1, max_length=4096)
    width: int | None = None
    height: int | None = None


class _Annotation(_Lenient):
    image_id: int | str
    category_id: int
    bbox: tuple[_Number, _Number, _Number, _Number]
    iscrowd: int = 0


class _Category(_Lenient):
    id: int
    name: str = Field(min_length=1, max_length=200)


class _Coco(_Lenient):
    images: tuple[_Image, ...]
    annotations: tuple[_Annotation, ...] = ()
    categories: tuple[_Category, ...]


@dataclass(frozen=True)
class BoxLabels:
    """The labelled boxes of an image.

    Attributes:
        corners_B4: f32 [B, 4], (x0, y0, x1, y1) in pixels of the upright image.
        classes_B: i64 [B], indices among the labels.
        size: width and height of what the corners lie in: of the upright image; (1, 1) where they are shares.
    """

    corners_B4: Floats
    classes_B: NDArray[np.int64]
    size: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class BoxEntry(Entry):
    """One image with its boxes; its `label` is empty."""

    boxes: BoxLabels


def list_coco(root: Path, reporter: Reporter) -> tuple[Listing, tuple[str, ...]]:
    """Return the images of each split with their boxes, and the class names in the order of their numbers.

    Raises:
        DataError: no train.json; a file that cannot be read; splits of different classes; a box that says nothing.
    """
    files = {name: root / f"{name}.json" for name in SPLITS if (root / f"{name}.json").is_file()}
    if "train" not in files:
        raise DataError(
            f"{root}: no train.json; a set with boxes is a folder with images/ and train.json, val.json, test.json",
            hint="COCO JSON is read; most annotation tools export it",
        )
    read = {name: _read(path) for name, path in files.items()}
    names = {name: _classes(content, files[name]) for name, content in read.items()}
    for name, found in names.items():
        if found != names["train"]:
            raise DataError(
                f"{files[name]}: its categories are {_spelled(found)}, those of train.json {_spelled(names['train'])}",
                hint="export all splits from one project, so that numbers and names are the same",
            )
    labels = tuple(names["train"].values())
    index = {number: place for place, number in enumerate(names["train"])}
    splits = {name: _entries(content, files[name], index, reporter) for name, content in read.items()}
    if not any(len(entry.boxes.classes_B) for entry in splits["train"]):
        raise DataError(f"{files['train']}: not one box to learn from", hint="label images first")
    return Listing(root, splits), labels


def _read(path: Path) -> _Coco:
    try:
        return _Coco.model_validate_json(read_regular(path, MAX_JSON_BYTES))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise DataError(
            f"{path}: not COCO JSON: {where + ': ' if where else ''}{fault['msg']}",
            hint="an object with images (id, file_name), categories (id, name) and annotations (image_id, "
            "category_id, bbox: x, y, width, height)",
        ) from error


def _classes(content: _Coco, path: Path) -> dict[int, str]:
    """Return number -> name, by number."""
    ordered = sorted(content.categories, key=lambda one: one.id)
    for what, values in (("number", [one.id for one in ordered]), ("name", [one.name for one in ordered])):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise DataError(f"{path}: two categories have the {what} {twice[0]!r}")
    if not ordered:
        raise DataError(f"{path}: no categories")
    try:
        return {one.id: visible(one.name) for one in ordered}
    except ValueError as error:
        raise DataError(f"{path}: a category's name: {error}") from error


def _spelled(classes: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in list(classes.items())[:20]) or "none"


def _entries(content: _Coco, path: Path, index: Mapping[int, int], reporter: Reporter) -> tuple[BoxEntry, ...]:
    of_image: dict[int | str, list[_Annotation]] = defaultdict(list)
    for number, one in enumerate(content.annotations):
        if one.category_id not in index:
            raise DataError(
                f"{path}: annotations.{number}: category_id {one.category_id} is not among the categories",
                hint=f"there are {', '.join(map(str, list(index)[:20]))}",
            )
        of_image[one.image_id].append(one)
    images = {image.id: image for image in content.images}
    if strange := [str(key) for key in of_image if key not in images]:
        raise DataError(f"{path}: annotations of {len(strange)} images that it does not list:{listed(strange)}")
    if len(images) != len(content.images):
        raise DataError(f"{path}: {len(content.images) - len(images)} images share an id with another")
    odd: dict[str, list[str]] = defaultdict(list)
    entries = [_entry(image, path, of_image[image.id], index, odd) for image in images.values()]
    for what, names in odd.items():
        reporter.warn(f"{path}: {len(names)} boxes {what}:{listed(names)}")
    return tuple(sorted(entries, key=lambda entry: entry.name))


def _entry(
    image: _Image,
    path: Path,
    annotations: Sequence[_Annotation],
    index: Mapping[int, int],
    odd: dict[str, list[str]],
) -> BoxEntry:
    file = _file(image, path)
    boxes = [one for one in annotations if not one.iscrowd]
    corners_B4 = np.array([one.bbox for one in boxes], dtype=np.float64).reshape(-1, 4)
    corners_B4[:, 2:] += corners_B4[:, :2]
    classes_B = np.array([index[one.category_id] for one in boxes], dtype=np.int64)
    turned = np.concatenate([np.minimum(*_ends(corners_B4)), np.maximum(*_ends(corners_B4))], axis=1)
    odd_names = [image.file_name] * int((turned != corners_B4).any(axis=1).sum())
    if odd_names:
        odd["of negative width or height were turned around"] += odd_names
    try:
        sizes = sizes_of(file)
    except BadImageError:  # told of with all other bad images
        return BoxEntry(file, image.file_name, "", BoxLabels(turned.astype(np.float32), classes_B))
    upright = _turned_upright(turned, image, path, sizes)
    cut = np.clip(upright, 0, np.array(sizes.upright * 2))
    if beyond := int((cut != upright).any(axis=1).sum()):
        odd["that reach beyond their image were cut at its sides"] += [image.file_name] * beyond
    whole = (cut[:, 2:] - cut[:, :2] >= _LEAST_PX).all(axis=1)
    if small := int((~whole).sum()):
        odd[f"of less than {_LEAST_PX:g} pixel in their image were left out"] += [image.file_name] * small
    return BoxEntry(
        file, image.file_name, "", BoxLabels(cut[whole].astype(np.float32), classes_B[whole], sizes.upright)
    )


def _ends(corners_B4: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return corners_B4[:, :2], corners_B4[:, 2:]


def _file(image: _Image, path: Path) -> Path:
    """Return the image's file: in images/ beside the JSON file, or beside it."""
    name = image.file_name.replace("\\", "/")
    if not is_inside(name):
        raise DataError(f"{path}: file_name {image.file_name!r} leaves the folder", hint="give a name below images/")
    below = path.parent / "images" / name
    return below if below.exists() or not (path.parent / name).exists() else path.parent / name


def _turned_upright(corners_B4: NDArray[np.float64], image: _Image, path: Path, sizes: Sizes) -> NDArray[np.float64]:
    """Return boxes in pixels of the upright image; the JSON file's size says whether they were drawn on it."""
    said = (image.width, image.height)
    if None in said or said == sizes.upright:
        return corners_B4
    if said == sizes.stored:
        return sizes.turn_boxes(corners_B4)
    raise DataError(
        f"{path}: {image.file_name} is said to be {image.width} x {image.height} pixels and has "
        f"{sizes.upright[0]} x {sizes.upright[1]}",
        hint="the boxes belong to an image of another size: export them again, or give the original images",
    )
