"""What compression changed, image by image: the baseline's answers beside a smaller model's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from compress.benchmark.schema import Answers
from compress.core.fact import Fact

MAX_MODELS = 4
MAX_IMAGES = 24  # over all models
_MAX_PAIRS = 12


class ClassRecall(Fact):
    """Share of a class's images that are answered with it, 0..100, before and after.

    Attributes:
        images: of the class.
        change_pp: after minus before; negative is a loss.
    """

    label: str
    images: int
    before_pct: float
    after_pct: float
    change_pp: float


class PairChange(Fact):
    """How many images of the class `truth` are answered with another one, `answer`."""

    truth: str
    answer: str
    before: int
    after: int


class ImageChange(Fact):
    """An image whose answer changed.

    Attributes:
        path: relative to the images' folder.
        before_confidence: softmax of the answer, 0..1.
        truth_before: softmax of the right class, 0..1.
    """

    path: str
    truth: str
    before: str
    before_confidence: float
    after: str
    after_confidence: float
    truth_before: float
    truth_after: float


class Changes(Fact):
    """One model beside the baseline.

    Attributes:
        stage: id of the model.
        alike: ids of models that answer every image as this one does.
        changed: images with another answer than the baseline's.
        lost: those that the baseline answers rightly and this one wrongly.
        gained: the reverse.
        recall: each class that has images, the largest loss first.
        confusions: pairs whose count changed, the largest change first; no more than a dozen.
        images: the worst first: lost, then wrong both times, then gained; no more than a page shows.
    """

    stage: str
    alike: tuple[str, ...]
    changed: int
    lost: int
    gained: int
    recall: tuple[ClassRecall, ...]
    confusions: tuple[PairChange, ...]
    images: tuple[ImageChange, ...]


def images_folder(paths: Sequence[str]) -> str:
    """Return the folder that all images lie in."""
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - text of another machine's paths
    return os.path.commonpath(folders) if folders else ""


def find_changes(answers: Answers, baseline: str) -> tuple[Changes, ...]:
    """Return one entry for each model that answers differently from the others, the last made first.

    Args:
        answers: of all models to the same images.
        baseline: the model that the others are compared with.
    """
    distinct: dict[tuple[int, ...], list[str]] = {}
    for name in reversed(answers.top1):
        if name != baseline:
            distinct.setdefault(answers.top1[name], []).append(name)
    groups = list(distinct.values())[:MAX_MODELS]
    return tuple(_changes(answers, baseline, names, MAX_IMAGES // len(groups)) for names in groups)


def _changes(answers: Answers, baseline: str, names: list[str], count: int) -> Changes:
    before, after, truth = answers.top1[baseline], answers.top1[names[0]], answers.truth
    rights = [(old == right, new == right) for old, new, right in zip(before, after, truth, strict=True)]
    return Changes(
        stage=names[0],
        alike=tuple(names[1:]),
        changed=sum(old != new for old, new in zip(before, after, strict=True)),
        lost=rights.count((True, False)),
        gained=rights.count((False, True)),
        recall=tuple(sorted(_recall(answers, rights), key=lambda row: row.change_pp)),
        confusions=tuple(_confusions(answers, before, after)[:_MAX_PAIRS]),
        images=tuple(_images(answers, baseline, names[0])[:count]),
    )


def _recall(answers: Answers, rights: list[tuple[bool, bool]]) -> Iterator[ClassRecall]:
    for index, label in enumerate(answers.labels):
        of_class = [right for right, truth in zip(rights, answers.truth, strict=True) if truth == index]
        if of_class:
            before, after = (sum(right[side] for right in of_class) for side in (0, 1))
            share = 100.0 / len(of_class)
            yield ClassRecall(
                label=label,
                images=len(of_class),
                before_pct=before * share,
                after_pct=after * share,
                change_pp=(after - before) * share,
            )


def _confusions(answers: Answers, before: tuple[int, ...], after: tuple[int, ...]) -> list[PairChange]:
    old, new = (Counter(zip(answers.truth, top1, strict=True)) for top1 in (before, after))
    found = [
        PairChange(truth=answers.labels[pair[0]], answer=answers.labels[pair[1]], before=old[pair], after=new[pair])
        for pair in sorted({*old, *new})
        if pair[0] != pair[1] and old[pair] != new[pair]
    ]
    return sorted(found, key=lambda pair: (-abs(pair.after - pair.before), pair.before - pair.after))


def _images(answers: Answers, baseline: str, name: str) -> list[ImageChange]:
    """Return every changed image: the wronged first, among equals by the fall of the right class's softmax."""
    folder = images_folder(answers.paths)
    found = [
        ImageChange(
            path=os.path.relpath(path, folder),
            truth=answers.labels[answers.truth[index]],
            before=answers.labels[answers.top1[baseline][index]],
            before_confidence=answers.confidence[baseline][index],
            after=answers.labels[answers.top1[name][index]],
            after_confidence=answers.confidence[name][index],
            truth_before=answers.truth_confidence[baseline][index],
            truth_after=answers.truth_confidence[name][index],
        )
        for index, path in enumerate(answers.paths)
        if answers.top1[baseline][index] != answers.top1[name][index]
    ]
    return sorted(found, key=lambda one: (_rank(one), one.truth_after - one.truth_before))


def _rank(one: ImageChange) -> int:
    if one.before == one.truth:
        return 0
    return 2 if one.after == one.truth else 1
