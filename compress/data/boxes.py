"""Images with labelled boxes, whatever format says where they are: what annotation tools get wrong has one answer.

A box of negative width or height is turned around, one that reaches beyond its image is cut at its sides, one of less
than a pixel is left out; each kind is counted and listed. A box of an unknown class or image, or of numbers that are
none, is an error. An image without boxes stays: it teaches the background.

Boxes that were drawn on the unturned pixels of an image that EXIF turns by a quarter are turned with it: the size
that the file says tells which they are. Of a square image, one that EXIF mirrors or turns by a half, and one
without a size in the file, it cannot tell: there the boxes are taken as those of the upright image.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.core.stage import Reporter
from compress.core.visible import visible
from compress.data.decode import BadImageError, Sizes, sizes_of
from compress.data.listing import Entry, listed
from compress.errors import DataError

_LEAST_PX = 1.0  # sides of a box; less is a slip of the hand
_SLACK_PX = 1e-3  # numbers of six digits round
Floats = NDArray[np.float32]


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


@dataclass(frozen=True)
class DrawnBoxes:
    """The boxes of an image as a file says them.

    Attributes:
        image: the file of the image.
        name: of the image, relative to its folder.
        corners: (x0, y0, x1, y1) of each, in pixels, or in shares of width and height.
        classes: index of each among the labels.
        said: width and height of the image by the file; None where it does not say.
        in_shares: whether the corners are shares.
    """

    image: Path
    name: str
    corners: Sequence[tuple[float, float, float, float]]
    classes: Sequence[int]
    said: tuple[int | None, int | None] = (None, None)
    in_shares: bool = False


@dataclass
class OddBoxes:
    """What was mended in a file, by kind: the names of the images, one for each box."""

    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, what: str, name: str, count: int) -> None:
        """Note so many boxes of an image."""
        if count:
            self.names[what] += [name] * count

    def tell(self, source: Path, reporter: Reporter) -> None:
        """Warn of each kind once."""
        for what, names in self.names.items():
            reporter.warn(f"{source}: {len(names)} boxes {what}:{listed(names)}")


def entries_of(drawn: Sequence[DrawnBoxes], source: Path, reporter: Reporter) -> tuple[BoxEntry, ...]:
    """Return the images by name, their boxes mended and upright.

    Raises:
        DataError: boxes of an image of another size.
    """
    odd = OddBoxes()
    entries = [_entry(one, source, odd) for one in drawn]
    odd.tell(source, reporter)
    return tuple(sorted(entries, key=lambda entry: entry.name))


def visible_labels(names: Sequence[str], source: Path) -> tuple[str, ...]:
    """Return class names; errors name the file.

    Raises:
        DataError: none, an empty one, or one twice.
    """
    if not names:
        raise DataError(f"{source}: no categories")
    shown = tuple(visible(name) for name in names)
    if not all(name.strip() for name in shown):
        raise DataError(f"{source}: a category without a name")
    if twice := [name for name, count in Counter(shown).items() if count > 1]:
        raise DataError(f"{source}: two categories have the name {twice[0]!r}")
    return shown


def require_boxes(splits: Mapping[str, Sequence[BoxEntry]], source: Path) -> None:
    """Raise DataError where the training images have no box at all."""
    if not any(len(entry.boxes.classes_B) for entry in splits["train"]):
        raise DataError(f"{source}: not one box to learn from", hint="label images first")


def _entry(drawn: DrawnBoxes, source: Path, odd: OddBoxes) -> BoxEntry:
    name = drawn.name
    corners_B4 = np.array(drawn.corners, dtype=np.float64).reshape(-1, 4)
    classes_B = np.array(drawn.classes, dtype=np.int64)
    turned = np.concatenate([np.minimum(*_ends(corners_B4)), np.maximum(*_ends(corners_B4))], axis=1)
    odd.add("of negative width or height were turned around", name, int((turned != corners_B4).any(axis=1).sum()))
    try:
        sizes = sizes_of(drawn.image)
    except BadImageError:  # told of with all other bad images
        return BoxEntry(drawn.image, name, "", BoxLabels(turned.astype(np.float32), classes_B))
    side_px = np.array(sizes.upright * 2, dtype=np.float64)
    upright = turned * side_px if drawn.in_shares else _turned_upright(turned, drawn, source, sizes)
    cut = np.clip(upright, 0, side_px)
    beyond = int((np.abs(cut - upright) > _SLACK_PX).any(axis=1).sum())
    odd.add("that reach beyond their image were cut at its sides", name, beyond)
    whole = (cut[:, 2:] - cut[:, :2] >= _LEAST_PX - _SLACK_PX).all(axis=1)
    odd.add(f"of less than {_LEAST_PX:g} pixel in their image were left out", name, int((~whole).sum()))
    boxes = BoxLabels(cut[whole].astype(np.float32), classes_B[whole], sizes.upright)
    return BoxEntry(drawn.image, name, "", boxes)


def _ends(corners_B4: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return corners_B4[:, :2], corners_B4[:, 2:]


def _turned_upright(
    corners_B4: NDArray[np.float64], drawn: DrawnBoxes, source: Path, sizes: Sizes
) -> NDArray[np.float64]:
    """Return boxes in pixels of the upright image; the size that the file says tells whether they were drawn on it."""
    if None in drawn.said or drawn.said == sizes.upright:
        return corners_B4
    if drawn.said == sizes.stored:
        return sizes.turn_boxes(corners_B4)
    raise DataError(
        f"{source}: {drawn.name} is said to be {drawn.said[0]} x {drawn.said[1]} pixels and has "
        f"{sizes.upright[0]} x {sizes.upright[1]}",
        hint="the boxes belong to an image of another size: export them again, or give the original images",
    )
