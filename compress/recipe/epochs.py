"""How long to train, where nobody says."""

from __future__ import annotations

_QUICK = (4_000, 3, 15)
_QUICK_FRESH = (12_000, 6, 40)
DETECTION_EPOCHS = 70  # of some hundred images with boxes
_DETECTION_SEEN, _LEAST_DETECTION_EPOCHS = 21_000, 20


def quick_epochs_for(n_train: int, *, fresh: bool) -> int:
    """Return how often to see them where minutes count more than the last points of accuracy."""
    wanted, least, most = _QUICK_FRESH if fresh else _QUICK
    return min(most, max(least, wanted // max(1, n_train)))


def epochs_for(n_train: int, *, fresh: bool) -> int:
    """Return how often to see the training images: few images or no pretrained weights need more passes."""
    wanted, least, most = (60_000, 15, 60) if fresh else (18_000, 6, 30)
    return min(most, max(least, wanted // max(1, n_train)))


def detection_epochs_for(n_train: int) -> int:
    """Return how often a detector sees its training images: of thousands, each fewer times."""
    return min(DETECTION_EPOCHS, max(_LEAST_DETECTION_EPOCHS, _DETECTION_SEEN // max(1, n_train)))
