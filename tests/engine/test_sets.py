from __future__ import annotations

import numpy as np
import pytest

from compress.core.dataset import FolderData
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.engine.sets import require_same_labels, training_sets
from compress.errors import StageError


def test_a_data_set_becomes_the_arrays_of_fit(photos):
    dataset = load_dataset(FolderData(path=photos), seed=0)
    train, val = training_sets(dataset, Preprocess(resize_px=36, crop_px=32), SilentReporter())
    assert train.pixels_NSSC.shape == (24, 40, 40, 3)
    assert val.pixels_NHWC.shape == (9, 32, 32, 3)
    np.testing.assert_allclose(np.unique(train.aspect_N), [64 / 72, 80 / 64])
    assert train.labels_N.tolist() == list(dataset.splits["train"].labels_N)


def test_equal_classes_pass_and_others_are_listed():
    require_same_labels(("a", "b"), ["a", "b"], wanted_by="the student", found_in="the teacher")
    with pytest.raises(StageError, match="only the student: b; only the teacher: c"):
        require_same_labels(("a", "b"), ("a", "c"), wanted_by="the student", found_in="the teacher")
    with pytest.raises(StageError, match="another order: a, b against b, a"):
        require_same_labels(("a", "b"), ("b", "a"), wanted_by="the student", found_in="the teacher")
    many = [f"c{number}" for number in range(1000)]
    with pytest.raises(StageError, match="only the teacher: c0, c1, c2, c3, c4 and 995 more") as raised:
        require_same_labels(("a", "b"), many, wanted_by="the student", found_in="the teacher", hint="another teacher")
    assert raised.value.hint == "another teacher"
