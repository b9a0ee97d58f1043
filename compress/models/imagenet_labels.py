"""The names of ImageNet's 1000 classes, as torchvision publishes them with its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compress.core.spec import ModelSpec
from compress.errors import BackendMissingError, missing_backend


def imagenet_labels() -> tuple[str, ...]:
    """Return the 1000 names in index order; where two classes share a name, it ends in the index: "crane (134)".

    Raises:
        BackendMissingError: torchvision is not installed.
    """
    try:
        from torchvision.models import get_model_weights
    except ImportError as error:
        raise missing_backend("torchvision", "train") from error
    categories: list[str] = get_model_weights("mobilenet_v3_small").DEFAULT.meta["categories"]
    return told_apart(categories)


def labels_for(num_classes: int) -> tuple[str, ...]:
    """Return names for the classes of a model that has none: ImageNet's for 1000 classes, else "0".."K-1"."""
    return imagenet_labels() if num_classes == 1000 else numbers(num_classes)


def numbers(num_classes: int) -> tuple[str, ...]:
    """Return "0".."K-1": the names of classes that nobody named."""
    return tuple(str(index) for index in range(num_classes))


def told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, those that occur more than once with their index."""
    counts = Counter(names)
    return tuple(f"{name} ({index})" if counts[name] > 1 else name for index, name in enumerate(names))


def classes_of(spec: ModelSpec) -> tuple[tuple[str, ...], bool]:
    """Return a model's classes, and whether they are names; 1000 classes without names are ImageNet's."""
    if is_named(spec):
        return spec.labels, True
    try:
        labels = labels_for(spec.num_classes)
    except BackendMissingError:  # the names come with torchvision; indices do without
        return spec.labels, False
    return labels, labels != spec.labels


def is_named(spec: ModelSpec) -> bool:
    """Return whether somebody named the classes."""
    return spec.labels != numbers(spec.num_classes)
