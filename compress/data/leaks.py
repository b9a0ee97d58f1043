"""The same image twice: in two splits, where it makes every measurement too good, or under two labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compress.core.digest import sha256_json
from compress.core.stage import Reporter
from compress.data.checks import Splits
from compress.data.decode import decode
from compress.data.examine import Exam, workers
from compress.data.listing import Entry, labels_of, listed
from compress.data.near import HASH_DRAFT_PX, details_of, groups, is_same, near_pairs
from compress.errors import DataError

_SIDES = (("train", ("val", "test")), ("val", ("test",)))  # the side trained on, and those that judge it
_MOST_ALIKE = 10  # images; more that hang together are a scene that never changes, not one image saved often
_known_pairs: dict[str, list[tuple[str, str]]] = {}


def drop_leaks(
    root: Path, splits: Splits, exams: Mapping[Path, Exam], on_leak: Literal["error", "drop"], reporter: Reporter
) -> Splits:
    """Return the splits with no file content in two of them; what leaks is dropped from the side trained on.

    The side trained on is train before val before test: an image of train that is also in val or test leaves train.

    Raises:
        DataError: there are leaks and `on_leak` is "error"; lists the pairs.
    """
    result = dict(splits)
    pairs: list[str] = []
    for side, others in _SIDES:
        held = {exams[entry.path].sha256: entry for other in others for entry in splits.get(other, ())}
        twins = [
            (entry, held[digest]) for entry in splits.get(side, ()) if (digest := exams[entry.path].sha256) in held
        ]
        pairs += [f"{entry.name} = {twin.name}" for entry, twin in twins]
        dropped = {entry.path for entry, _ in twins}
        if dropped:
            result[side] = tuple(entry for entry in splits[side] if entry.path not in dropped)
    if not pairs:
        return result
    text = f"{root}: {len(pairs)} images are in two splits (equal content):{listed(pairs)}"
    if on_leak == "error":
        raise DataError(
            text,
            hint="remove one of each, or drop them from the training side: `imgc init --on-leak drop`, else "
            "`--set data.on_leak=drop`",
        )
    reporter.warn(f"{text}\n  dropped from the first of the two splits (data.on_leak: drop)")
    _refuse_emptied(root, splits, result)
    return result


def _refuse_emptied(root: Path, before: Splits, after: Splits) -> None:
    if gone := sorted(set(labels_of(before["train"])) - set(labels_of(after["train"]))):
        raise DataError(f"{root}: dropping them leaves no training image of {len(gone)} classes:{listed(gone)}")


def drop_near(
    root: Path, splits: Splits, exams: Mapping[Path, Exam], on_leak: Literal["error", "drop"], reporter: Reporter
) -> Splits:
    """Return the splits; list the images that are nearly the same as one of another split, and drop them if asked to.

    Unlike equal files they are only warned of by default: a camera that never moves makes images that are alike.

    Raises:
        DataError: dropping them leaves a class without training images.
    """
    if len(splits) < 2:
        return splits
    twins: dict[str, set[str]] = defaultdict(set)
    for one, other in near_content(_exams_of(splits, exams)):
        twins[one].add(other)
        twins[other].add(one)
    result = dict(splits)
    pairs: list[str] = []
    for side, others in _SIDES:
        held = {exams[entry.path].sha256: entry for other in others for entry in splits.get(other, ())}
        near = [(entry, twins[exams[entry.path].sha256] & held.keys()) for entry in splits.get(side, ())]
        pairs += [f"{entry.name} ~ {held[min(found)].name}" for entry, found in near if found]
        result[side] = tuple(entry for entry, found in near if not found)
    if not pairs:
        return splits
    text = f"{root}: {len(pairs)} images are nearly the same as one of another split:{listed(pairs)}"
    if on_leak == "error":
        way = "`imgc init --on-leak drop`, else `data.on_leak: drop`"
        reporter.warn(f"{text}\n  kept; to drop them from the training side: {way}")
        return splits
    reporter.warn(f"{text}\n  dropped from the first of the two splits (data.on_leak: drop)")
    _refuse_emptied(root, splits, result)
    return {name: entries for name, entries in result.items() if name in splits}


def _exams_of(splits: Splits, exams: Mapping[Path, Exam]) -> dict[Path, Exam]:
    return {entry.path: exams[entry.path] for entries in splits.values() for entry in entries}


def near_content(exams: Mapping[Path, Exam]) -> list[tuple[str, str]]:
    """Return the pairs of different contents (by SHA-256) that are nearly the same; found once in a process."""
    paths = {exam.sha256: path for path, exam in exams.items()}
    contents = sorted(paths)
    hashes = [exams[paths[one]].look for one in contents]
    key = sha256_json([contents, hashes])
    if key not in _known_pairs:
        pairs = [(contents[i], contents[j]) for i, j in near_pairs(hashes)]
        unsure = sorted({one for pair in pairs for one in pair})
        with ThreadPoolExecutor(workers()) as pool:
            details = dict(zip(unsure, pool.map(lambda one: _details(paths[one]), unsure), strict=True))
        _known_pairs[key] = [(one, other) for one, other in pairs if is_same(details[one], details[other])]
    return _known_pairs[key]


def _details(path: Path) -> NDArray[np.float32]:
    return details_of(decode(path, draft_px=HASH_DRAFT_PX))


def kept_together(exams: Mapping[Path, Exam]) -> dict[Path, str]:
    """Return for each path the content whose fate it shares when images are split: its own, or one like it."""
    contents = sorted({exam.sha256 for exam in exams.values()})
    number = {content: index for index, content in enumerate(contents)}
    group = groups(len(contents), [(number[one], number[other]) for one, other in near_content(exams)])
    size: dict[int, int] = defaultdict(int)
    for first in group:
        size[first] += 1
    shared = {
        content: contents[first] if size[first] <= _MOST_ALIKE else content
        for content, first in zip(contents, group, strict=True)
    }
    return {path: shared[exam.sha256] for path, exam in exams.items()}


def warn_of_duplicates(root: Path, splits: Splits, exams: Mapping[Path, Exam], reporter: Reporter) -> None:
    """Count equal files within a split (they stay) and equal files under two labels (one must be wrong)."""
    copies, conflicts = 0, []
    for entries in splits.values():
        groups: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            groups[exams[entry.path].sha256].append(entry)
        copies += sum(len(group) - 1 for group in groups.values())
        conflicts += [
            " = ".join(e.name for e in group) for group in groups.values() if len({e.label for e in group}) > 1
        ]
    if copies:
        reporter.warn(f"{root}: {copies} images are copies of another in the same split; kept")
    if conflicts:
        reporter.warn(f"{root}: {len(conflicts)} images carry two different labels:{listed(conflicts)}")
