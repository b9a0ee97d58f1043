"""What compression changed of a detector's boxes, image by image: the baseline's beside a smaller model's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.box_answers import BoxAnswers, Corners, ImageBoxes
from compress.core.fact import Fact
from compress.detect.answers import Boxes
from compress.detect.match import NOTHING, matched, partners
from compress.report.changes import MAX_IMAGES, MAX_MODELS, images_folder


class ShownBox(Fact):
    """A box that a file shows.

    Attributes:
        index: of its class among the labels.
        score: 0..1.
        box: (x0, y0, x1, y1) in pixels of the upright image.
        same: whether the other answer has it too: of the same class, with an IoU of at least 0.5.
    """

    index: int
    label: str
    score: float
    box: Corners
    same: bool


class BoxImageChange(Fact):
    """An image whose boxes changed: a box of one answer is not in the other.

    Attributes:
        path: relative to the images' folder.
        mistakes_before: labelled boxes that the baseline misses, and its boxes where nothing is labelled.
        mistakes_after: the same of the other model.
        before: the baseline's boxes, best first.
        after: the other model's.
    """

    path: str
    mistakes_before: int
    mistakes_after: int
    before: tuple[ShownBox, ...]
    after: tuple[ShownBox, ...]


class BoxChanges(Fact):
    """One detector beside the baseline.

    Attributes:
        stage: id of the model.
        alike: ids of models whose boxes are all this one's too.
        changed: images with other boxes than the baseline's.
        gone: boxes of the baseline that this one does not have.
        new: boxes of this one that the baseline does not have.
        labelled: boxes that there are to find.
        right_before: how many of them the baseline finds.
        right_after: how many of them this one finds.
        wrong_before: boxes of the baseline where nothing is labelled.
        wrong_after: boxes of this one where nothing is labelled.
        images: the worst first: by the mistakes that came, then by the boxes that differ; no more than a page shows.
    """

    stage: str
    alike: tuple[str, ...]
    changed: int
    gone: int
    new: int
    labelled: int
    right_before: int
    right_after: int
    wrong_before: int
    wrong_after: int
    images: tuple[BoxImageChange, ...]


@dataclass(frozen=True)
class _Pair:
    """Both answers to one image. Letters: B boxes of the baseline, D of the other model.

    Attributes:
        index: of the image.
        same_B: whether the other answer has the box too, likewise `same_D`.
        labelled: boxes that there are to find.
        right: how many of them each finds.
    """

    index: int
    same_B: NDArray[np.bool_]
    same_D: NDArray[np.bool_]
    labelled: int
    right: tuple[int, int]

    @property
    def gone(self) -> int:
        """Return how many boxes of the baseline the other model does not have."""
        return int((~self.same_B).sum())

    @property
    def new(self) -> int:
        """Return how many boxes of the other model the baseline does not have."""
        return int((~self.same_D).sum())

    @property
    def mistakes(self) -> tuple[int, int]:
        """Return the labelled boxes that are missed and the boxes where nothing is, before and after."""
        before, after = self.right
        return self.labelled + len(self.same_B) - 2 * before, self.labelled + len(self.same_D) - 2 * after


def find_box_changes(answers: BoxAnswers, baseline: str) -> tuple[BoxChanges, ...]:
    """Return one entry for each detector that finds other boxes than the others, the last made first.

    Args:
        answers: of all models to the same images.
        baseline: the model that the others are compared with.
    """
    boxes = {name: [one.as_boxes() for one in images] for name, images in answers.found.items()}
    groups: list[list[str]] = []
    for name in reversed(boxes):
        if name == baseline:
            continue
        like = next((group for group in groups if _is_alike(boxes[group[0]], boxes[name])), None)
        if like is not None:
            like.append(name)
        elif len(groups) < MAX_MODELS:
            groups.append([name])
    truth = [one.as_boxes() for one in answers.truth]
    pairs = [list(_pairs(boxes[baseline], boxes[names[0]], truth)) for names in groups]
    count = MAX_IMAGES // max(1, len(groups))
    return tuple(_changes(answers, baseline, names, found, count) for names, found in zip(groups, pairs, strict=True))


def _is_alike(boxes_N: list[Boxes], others_N: list[Boxes]) -> bool:
    """Return whether every box of either answer is in the other."""
    pairs = zip(boxes_N, others_N, strict=True)
    return all(len(one) == len(other) == matched(one, other) for one, other in pairs)


def _pairs(before_N: list[Boxes], after_N: list[Boxes], truth_N: list[Boxes]) -> Iterator[_Pair]:
    for index, (before, after, truth) in enumerate(zip(before_N, after_N, truth_N, strict=True)):
        partner_B = partners(before, after)
        same_D = np.isin(np.arange(len(after)), partner_B)
        right = matched(before, truth), matched(after, truth)
        yield _Pair(index, partner_B != NOTHING, same_D, len(truth), right)


def _changes(answers: BoxAnswers, baseline: str, names: list[str], pairs: list[_Pair], count: int) -> BoxChanges:
    changed = [pair for pair in pairs if pair.gone or pair.new]
    worst = sorted(changed, key=lambda pair: (pair.mistakes[0] - pair.mistakes[1], -pair.gone - pair.new))
    right_before, right_after = (sum(pair.right[side] for pair in pairs) for side in (0, 1))
    return BoxChanges(
        stage=names[0],
        alike=tuple(names[1:]),
        changed=len(changed),
        gone=sum(pair.gone for pair in pairs),
        new=sum(pair.new for pair in pairs),
        labelled=sum(pair.labelled for pair in pairs),
        right_before=right_before,
        right_after=right_after,
        wrong_before=sum(len(pair.same_B) for pair in pairs) - right_before,
        wrong_after=sum(len(pair.same_D) for pair in pairs) - right_after,
        images=tuple(_image(answers, baseline, names[0], pair) for pair in worst[:count]),
    )


def _image(answers: BoxAnswers, baseline: str, name: str, pair: _Pair) -> BoxImageChange:
    before, after = pair.mistakes
    return BoxImageChange(
        path=os.path.relpath(answers.paths[pair.index], images_folder(answers.paths)),
        mistakes_before=before,
        mistakes_after=after,
        before=tuple(_shown(answers.found[baseline][pair.index], pair.same_B, answers.labels)),
        after=tuple(_shown(answers.found[name][pair.index], pair.same_D, answers.labels)),
    )


def _shown(boxes: ImageBoxes, same_B: NDArray[np.bool_], labels: tuple[str, ...]) -> Iterator[ShownBox]:
    for corners, score, index, same in zip(boxes.corners, boxes.scores, boxes.classes, same_B.tolist(), strict=True):
        yield ShownBox(index=index, label=labels[index], score=score, box=corners, same=same)
