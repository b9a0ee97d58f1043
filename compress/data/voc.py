"""Pascal VOC: an XML file for each image, in `Annotations/` beside `JPEGImages/` or `images/`, or beside the image.

`ImageSets/Main/{train,val,test}.txt` say which image is in which split; without them all are to learn from. The classes
are the names that occur, sorted. Corners are 1-based in VOC (Everingham et al. 2010, section 3.2), so 1 is taken from
the lower ones, as detectron2 does. Objects marked `difficult` are left out. What tools get wrong is mended in `boxes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree  # entities are refused before it reads

from compress.core.names import is_inside
from compress.core.regular_file import read_regular
from compress.core.stage import Reporter
from compress.data.boxes import DrawnBoxes, entries_of, require_boxes, visible_labels
from compress.data.listing import IMAGE_SUFFIXES, SPLITS, Listing, listed
from compress.errors import DataError

MAX_XML_BYTES = 4 * 1024 * 1024
_MAX_LIST_BYTES = 64 * 1024 * 1024
_FOLDERS = ("JPEGImages", "images", "")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_HINT = "an annotation with filename, size and objects (name, bndbox: xmin, ymin, xmax, ymax)"
Object = tuple[str, tuple[float, float, float, float]]


def is_voc(folder: Path) -> bool:
    """Return whether a folder holds XML files of images."""
    return any(_xml_folder(folder).glob("*.xml"))


def list_voc(root: Path, reporter: Reporter) -> tuple[Listing, tuple[str, ...]]:
    """Return the images of each split with their boxes, and the class names.

    Raises:
        DataError: no XML file; one that cannot be read; an image that is not there; classes that training lacks.
    """
    files = {path.stem: path for path in sorted(_xml_folder(root).glob("*.xml"))}
    if not files:
        raise DataError(f"{root}: no XML files in Annotations/ or beside the images", hint=_HINT)
    chosen = _splits(root, files)
    read = {name: [(path, *_read(path)) for path in paths] for name, paths in chosen.items()}
    names = {name: {label for _, _, objects in rows for label, _ in objects} for name, rows in read.items()}
    labels = visible_labels(sorted(names["train"]), root)
    index = {name: place for place, name in enumerate(sorted(names["train"]))}
    for name in SPLITS:
        if unknown := sorted(names.get(name, set()) - names["train"]):
            raise DataError(
                f"{root}: objects of the {name} images that no training image has:{listed(unknown)}",
                hint="correct the names, or move images with them to the training images",
            )
    splits = {
        name: entries_of([_drawn(root, *row, index) for row in rows], root, reporter) for name, rows in read.items()
    }
    require_boxes(splits, root)
    return Listing(root, splits), labels


def _xml_folder(root: Path) -> Path:
    annotations = root / "Annotations"
    return annotations if annotations.is_dir() else root


def _splits(root: Path, files: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return split -> XML files, by the lists of images; all are to learn from where there is no list."""
    lists = {name: root / "ImageSets" / "Main" / f"{name}.txt" for name in SPLITS}
    found = {name: path for name, path in lists.items() if path.is_file()}
    if not found:
        return {"train": list(files.values())}
    if "train" not in found:
        raise DataError(f"{root / 'ImageSets' / 'Main'}: no train.txt beside {', '.join(sorted(found))}.txt")
    chosen: dict[str, list[Path]] = {}
    for name, path in found.items():
        rows = _text(path, _MAX_LIST_BYTES).decode(errors="replace").splitlines()
        named = [row.strip() for row in rows if row.strip()]
        wanted = list(dict.fromkeys(row if row in files else row.split()[0] for row in named))  # `NAME` or `NAME -1`
        if missing := [one for one in wanted if one not in files]:
            raise DataError(f"{path}: names {len(missing)} images without an XML file:{listed(missing)}")
        chosen[name] = [files[one] for one in wanted]
    return chosen


def _read(path: Path) -> tuple[ElementTree.Element, list[Object]]:
    data = _text(path, MAX_XML_BYTES)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError(f"{path}: declares a document type or entities", hint=f"allowed is plain XML: {_HINT}")
    if b"\0" in data:  # of two bytes a character, where a declaration would have hidden
        raise DataError(f"{path}: not UTF-8", hint="save it as UTF-8")
    try:
        tree = ElementTree.fromstring(data)  # noqa: S314 - nothing is declared, see above
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last two: an encoding that is not known
        raise DataError(f"{path}: not XML: {error}", hint=_HINT) from error
    objects = [_object(one, path) for one in tree.iterfind("object") if one.findtext("difficult", "0").strip() != "1"]
    return tree, objects


def _text(path: Path, most: int) -> bytes:
    try:
        return read_regular(path, most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _object(found: ElementTree.Element, path: Path) -> Object:
    name = found.findtext("name", "").strip()
    if not name:
        raise DataError(f"{path}: an object without a name", hint=_HINT)
    x0, y0, x1, y1 = (_number(found, f"bndbox/{side}", path) for side in _SIDES)
    (left, right), (top, bottom) = _from_zero(x0, x1), _from_zero(y0, y1)
    return name, (left, top, right, bottom)


def _from_zero(first: float, last: float) -> tuple[float, float]:
    """Return two pixels, counted from 1, as the sides of what they enclose; swapped ones stay swapped."""
    return (first - 1.0, last) if first <= last else (first, last - 1.0)


def _number(found: ElementTree.Element, where: str, path: Path) -> float:
    text = found.findtext(where, "").strip()
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise DataError(f"{path}: {where}: a number is wanted, found {text[:40]!r}", hint=_HINT)
    return value


def _drawn(
    root: Path, path: Path, tree: ElementTree.Element, objects: Sequence[Object], index: Mapping[str, int]
) -> DrawnBoxes:
    name = (tree.findtext("filename", "") or "").strip().replace("\\", "/")
    size = tree.find("size")
    said = (None, None) if size is None else (_side(size, "width", path), _side(size, "height", path))
    return DrawnBoxes(
        image=_image(root, path, name),
        name=path.stem,
        corners=[corners for _, corners in objects],
        classes=[index[label] for label, _ in objects],
        said=said,
    )


def _side(size: ElementTree.Element, name: str, path: Path) -> int | None:
    """Return a side in pixels; None where the file leaves it out, or says 0 as some tools do."""
    return round(_number(size, name, path)) or None if size.findtext(name, "").strip() else None


def _image(root: Path, path: Path, name: str) -> Path:
    """Return the image's file: the one that the XML names, else of its own name, in one of the usual folders.

    Raises:
        DataError: the name leaves the folder, or no such image.
    """
    if name and not is_inside(name):
        raise DataError(f"{path}: filename {name!r} leaves the folder", hint="give the name of an image beside it")
    folders = [root / folder for folder in _FOLDERS]
    suffixes = sorted(IMAGE_SUFFIXES)
    names = [name] if name else []
    names += [f"{path.stem}{suffix}" for suffix in (*suffixes, *(suffix.upper() for suffix in suffixes))]
    for one in names:
        for folder in folders:
            if (folder / one).is_file():
                return folder / one
    raise DataError(
        f"{path}: its image {name or path.stem!r} is not there",
        hint=f"images are looked for in {', '.join(str(folder) for folder in folders)}",
    )
