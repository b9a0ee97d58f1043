from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.dataset import SplitFractions
from compress.data.listing import Entry
from compress.data.partition import missing_splits, partition


@pytest.mark.parametrize(("n", "expected"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (20, (14, 3, 3))])
def test_small_classes_keep_a_training_image(n: int, expected: tuple[int, int, int]) -> None:
    entries = [Entry(Path(f"{i}.png"), f"{i}.png", "a") for i in range(n)]
    exams = {entry.path: f"{i:064d}" for i, entry in enumerate(entries)}
    shares = partition(entries, exams, missing_splits({}, SplitFractions()), seed=0)
    assert tuple(len(shares[name]) for name in ("train", "val", "test")) == expected
    assert sorted(e.name for share in shares.values() for e in share) == sorted(e.name for e in entries)
