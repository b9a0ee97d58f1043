"""Splits images by class and content hash where the data comes without val or test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.core.dataset import SplitFractions
from compress.core.digest import sha256_bytes
from compress.data.listing import Entry


def partition(
    entries: Sequence[Entry], contents: Mapping[Path, str], take: Mapping[str, float], seed: int
) -> dict[str, tuple[Entry, ...]]:
    """Return "train" and the splits of `take`, stratified by class.

    Images are ranked by a hash of seed and content, so files of equal or nearly equal content stay together (no leak)
    and the order or names of the files do not matter. An image that carries two labels stays in train, since the
    classes rank it differently.

    Args:
        entries: images to share out.
        contents: hash of what must stay together, per path: of the file, or of one that is nearly the same.
        take: share per new split; a class of 3 images or more gives each at least one and always keeps one.
        seed: another seed, another split.
    """
    by_class: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    labels_of_content: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        digest = contents[entry.path]
        by_class[entry.label][digest].append(entry)
        labels_of_content[digest].add(entry.label)
    shares: dict[str, list[Entry]] = {name: [] for name in ("train", *take)}
    for groups in by_class.values():
        single = [digest for digest in groups if len(labels_of_content[digest]) == 1]
        ranked = sorted(single, key=lambda digest: sha256_bytes(f"{seed}/{digest}".encode()))
        shared_out = 0
        for name, fraction in take.items():
            count = _count(len(ranked), fraction, len(groups) - 1)
            for digest in ranked[shared_out : shared_out + count]:
                shares[name] += groups.pop(digest)
            shared_out += count
        shares["train"] += [entry for group in groups.values() for entry in group]
    return {name: tuple(sorted(share, key=lambda entry: entry.name)) for name, share in shares.items()}


def _count(n: int, fraction: float, at_most: int) -> int:
    if fraction == 0:
        return 0
    return max(0, min(max(1, round(n * fraction)), at_most))


def missing_splits(present: Mapping[str, object], fractions: SplitFractions) -> dict[str, float]:
    """Return the share of each split that the data does not have."""
    wanted = {"test": fractions.test, "val": fractions.val}
    return {name: share for name, share in wanted.items() if name not in present}
