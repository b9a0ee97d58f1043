"""YOLO: `data.yaml` with the class names, images, and a text file of boxes for each.

`labels/NAME.txt` belongs to `images/NAME.jpg`. A line is `CLASS X Y WIDTH HEIGHT`, centre and sides in shares of the
upright image, or `CLASS X Y X Y ...`, the corners of a polygon, whose hull is the box. An image without a text file has
no boxes. `train:`, `val:` and `test:` are folders, or text files that list images, below the folder of `data.yaml`.
What tools get wrong is mended in `boxes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import yaml

from compress.core.names import is_inside
from compress.core.regular_file import read_regular
from compress.core.stage import Reporter
from compress.data.boxes import DrawnBoxes, entries_of, require_boxes, visible_labels
from compress.data.listing import Listing, images_below
from compress.errors import DataError

_MAX_YAML_BYTES = 1024 * 1024
_MAX_LABEL_BYTES = 4 * 1024 * 1024
_MAX_LIST_BYTES = 64 * 1024 * 1024
_FILES = ("data.yaml", "data.yml", "dataset.yaml")
_KEYS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
_HINT = "a file with train, val and names, as Ultralytics writes it"
_LINE_HINT = "a line is CLASS X Y WIDTH HEIGHT in shares of the image, or CLASS and the corners of a polygon"
_NOTHING = ("", "null", "~")
_DIGITS = 9  # of a class, at most
_MOST_SHARE = 10.0  # beyond it they are pixels
Corners = tuple[float, float, float, float]


def is_yolo(folder: Path) -> bool:
    """Return whether a folder holds a set in YOLO's layout."""
    return _description(folder) is not None


def list_yolo(root: Path, reporter: Reporter) -> tuple[Listing, tuple[str, ...]]:
    """Return the images of each split with their boxes, and the class names in the order of their numbers.

    Raises:
        DataError: no data.yaml; a file that cannot be read; a folder that is not there, or outside; a bad line.
    """
    path = _description(root)
    if path is None:
        raise DataError(f"{root}: no data.yaml", hint=_HINT)
    content = _read(path)
    labels = visible_labels(_names(content.get("names"), path), path)
    splits = {}
    for split, keys in _KEYS.items():
        given = next((content[key] for key in keys if content.get(key)), None)
        if given is not None:
            images = [image for one in _listed(given, path) for image in _images(root, one, content, path)]
            drawn = [_drawn(root, image, len(labels)) for image in dict.fromkeys(images)]
            splits[split] = entries_of(drawn, path, reporter)
    if "train" not in splits:
        raise DataError(f"{path}: says no `train:`", hint=_HINT)
    require_boxes(splits, path)
    return Listing(root, splits), labels


def _description(folder: Path) -> Path | None:
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


class _PlainLoader(yaml.BaseLoader):
    """Reads texts, lists and mappings: a class may be called `no`. Aliases, which make few lines huge, are refused."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, none that stands for another."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name), which is not allowed here")
        return super().compose_node(parent, index)


def _read(path: Path) -> Mapping[str, object]:
    try:
        content = yaml.load(read_regular(path, _MAX_YAML_BYTES), Loader=_PlainLoader)  # noqa: S506 - makes texts only
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not YAML: {str(error).splitlines()[0]}", hint=_HINT) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not a mapping", hint=_HINT)
    return {key: None if value in _NOTHING else value for key, value in content.items()}


def _names(given: object, path: Path) -> list[str]:
    """Return the class names: a list, or a mapping from 0 on."""
    if isinstance(given, dict):
        if set(given) != {str(number) for number in range(len(given))}:
            raise DataError(f"{path}: names: the numbers are not 0 to {len(given) - 1}", hint=_HINT)
        given = [given[str(number)] for number in range(len(given))]
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise DataError(f"{path}: names: a list of class names is wanted", hint=_HINT)
    return given


def _listed(given: object, path: Path) -> list[str]:
    found = given if isinstance(given, list) else [given]
    texts = [one for one in found if isinstance(one, str) and one.strip()]
    if texts and len(texts) == len(found):
        return texts
    raise DataError(f"{path}: train, val and test are folders or lists of them, found {str(given)[:40]!r}", hint=_HINT)


def _images(root: Path, given: str, content: Mapping[str, object], path: Path) -> list[Path]:
    """Return the images of a folder, or of a text file that lists them.

    Raises:
        DataError: it is not there, or not below the folder of `data.yaml`.
    """
    where = _inside(root, given, content, path)
    if where.is_dir():
        return sorted(images_below(where)[0])
    try:
        rows = read_regular(where, _MAX_LIST_BYTES).decode(errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {given}: cannot be read: {error.strerror}", hint=_HINT) from error
    return [_inside(root, row.strip(), content, where) for row in rows if row.strip()]


def _inside(root: Path, given: str, content: Mapping[str, object], source: Path) -> Path:
    """Return what a path means: below `path:` where that is a folder here, else below the folder of the file.

    Exports say `../train/images` for a folder beside `data.yaml`, and absolute paths of other machines; a leading `../`
    is left out.
    """
    name = given.replace("\\", "/").removeprefix("./")
    while name.startswith("../"):
        name = name.removeprefix("../")
    base = str(content.get("path") or "").replace("\\", "/").strip("/")
    names = [f"{base}/{name}", name] if base and is_inside(base) else [name]
    found = next((root / one for one in names if is_inside(one) and (root / one).exists()), None)
    if found is None:
        raise DataError(
            f"{source}: {given!r} is not below {root}",
            hint="put data.yaml into the folder that holds the images, and give paths relative to it",
        )
    return found


def _drawn(root: Path, image: Path, classes: int) -> DrawnBoxes:
    name = image.relative_to(root).as_posix()
    path = _labels_of(root, image)
    rows = [] if path is None else _rows(path)
    boxes = [_box(row, path, number, classes) for number, row in rows]
    return DrawnBoxes(
        image=image,
        name=name,
        corners=[corners for _, corners in boxes],
        classes=[index for index, _ in boxes],
        in_shares=True,
    )


def _labels_of(root: Path, image: Path) -> Path | None:
    """Return the text file of an image: below labels/ where it lies below images/, else beside it."""
    parts = list(image.relative_to(root).with_suffix(".txt").parts)
    places = [place for place, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    path = root.joinpath(*parts)
    return path if path.is_file() else None


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        lines = read_regular(path, _MAX_LABEL_BYTES).decode(errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]


def _box(row: Sequence[str], path: Path | None, number: int, classes: int) -> tuple[int, Corners]:
    where = f"{path}:{number}"
    if not row[0].isascii() or not row[0].isdigit() or len(row[0]) > _DIGITS or int(row[0]) >= classes:
        raise DataError(f"{where}: class {row[0][:40]!r}; there are 0 to {classes - 1}", hint=_LINE_HINT)
    values = _numbers(row[1:], where)
    if len(values) == 4:
        x, y, width, height = values
        return int(row[0]), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) < 6 or len(values) % 2:
        raise DataError(f"{where}: {len(values)} numbers behind the class", hint=_LINE_HINT)
    across, down = values[::2], values[1::2]
    return int(row[0]), (min(across), min(down), max(across), max(down))


def _numbers(row: Sequence[str], where: str) -> list[float]:
    try:
        values = [float(text) for text in row]
    except ValueError:
        values = [float("nan")]
    if not all(isfinite(value) for value in values):
        raise DataError(f"{where}: numbers are wanted, found {' '.join(row)[:60]!r}", hint=_LINE_HINT)
    if any(abs(value) > _MOST_SHARE for value in values):
        raise DataError(f"{where}: {max(values, key=abs):g} is no share of an image", hint=_LINE_HINT)
    return values
