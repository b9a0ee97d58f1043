"""COCO JSON: a folder with `images/` and `train.json`, `val.json`, `test.json` as a listing of images with boxes.

Crowds (`iscrowd`) are left out. What annotation tools get wrong is mended in `boxes`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.core.names import is_inside
from compress.core.regular_file import read_regular
from compress.core.stage import Reporter
from compress.data.boxes import DrawnBoxes, entries_of, require_boxes, visible_labels
from compress.data.listing import SPLITS, Listing, listed
from compress.errors import DataError

MAX_JSON_BYTES = 512 * 1024 * 1024
_Number = Annotated[float, Field(allow_inf_nan=False)]


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


def is_coco(folder: Path) -> bool:
    """Return whether a folder holds a COCO set: train.json, and no class folders under that name."""
    return (folder / "train.json").is_file() and not (folder / "train").is_dir()


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
    splits = {
        name: entries_of(_joined(_drawn(content, files[name], index), files[name], reporter), files[name], reporter)
        for name, content in read.items()
    }
    require_boxes(splits, files["train"])
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
    if twice := [number for number, count in Counter(one.id for one in ordered).items() if count > 1]:
        raise DataError(f"{path}: two categories have the number {twice[0]!r}")
    names = visible_labels([one.name for one in ordered], path)
    return dict(zip((one.id for one in ordered), names, strict=True))


def _spelled(classes: Mapping[int, str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in list(classes.items())[:20]) or "none"


def _drawn(content: _Coco, path: Path, index: Mapping[int, int]) -> list[DrawnBoxes]:
    """Return the boxes of each image as the file says them."""
    of_image: dict[int | str, list[_Annotation]] = defaultdict(list)
    for number, one in enumerate(content.annotations):
        if one.category_id not in index:
            raise DataError(
                f"{path}: annotations.{number}: category_id {one.category_id} is not among the categories",
                hint=f"there are {', '.join(map(str, list(index)[:20]))}",
            )
        if not one.iscrowd:
            of_image[one.image_id].append(one)
    images = {image.id: image for image in content.images}
    if strange := sorted({str(one.image_id) for one in content.annotations if one.image_id not in images}):
        raise DataError(f"{path}: annotations of {len(strange)} images that it does not list:{listed(strange)}")
    if len(images) != len(content.images):
        raise DataError(f"{path}: {len(content.images) - len(images)} images share an id with another")
    return [
        DrawnBoxes(
            image=_file(image, path),
            name=image.file_name,
            corners=[_corners(one.bbox) for one in of_image[image.id]],
            classes=[index[one.category_id] for one in of_image[image.id]],
            said=(image.width, image.height),
        )
        for image in images.values()
    ]


def _joined(drawn: Sequence[DrawnBoxes], path: Path, reporter: Reporter) -> list[DrawnBoxes]:
    """Return the images, each once: the boxes of a file that has several ids are taken together."""
    found: dict[Path, DrawnBoxes] = {}
    twice: set[str] = set()
    for one in drawn:
        if first := found.get(one.image):
            twice.add(one.name)
            corners, classes = [*first.corners, *one.corners], [*first.classes, *one.classes]
            found[one.image] = replace(first, corners=corners, classes=classes)
        else:
            found[one.image] = one
    if twice:
        reporter.warn(
            f"{path}: images of several ids, whose boxes are taken together: {len(twice)}{listed(sorted(twice))}"
        )
    return list(found.values())


def _corners(bbox: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, width, height = bbox
    return x, y, x + width, y + height


def _file(image: _Image, path: Path) -> Path:
    """Return the image's file: in images/ beside the JSON file, or beside it."""
    name = image.file_name.replace("\\", "/")
    if not is_inside(name):
        raise DataError(f"{path}: file_name {image.file_name!r} leaves the folder", hint="give a name below images/")
    below = path.parent / "images" / name
    return below if below.exists() or not (path.parent / name).exists() else path.parent / name
