from __future__ import annotations

from compress.models.imagenet_labels import imagenet_labels, labels_for, told_apart


def test_the_thousand_names_differ_and_none_is_a_number():
    labels = imagenet_labels()
    assert len(set(labels)) == 1000
    assert (labels[0], labels[999]) == ("tench", "toilet tissue")
    assert not any(label.isdecimal() for label in labels)
    assert labels_for(1000) == labels
    assert labels_for(3) == ("0", "1", "2")


def test_equal_names_are_told_apart_by_their_index():
    assert told_apart(("crane", "dog", "crane")) == ("crane (0)", "dog", "crane (2)")
