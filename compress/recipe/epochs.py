"""How long to train, where nobody says."""

from __future__ import annotations


def epochs_for(n_train: int, *, fresh: bool) -> int:
    """Return how often to see the training images: few images or no pretrained weights need more passes."""
    wanted, least, most = (60_000, 15, 60) if fresh else (18_000, 6, 30)
    return min(most, max(least, wanted // max(1, n_train)))
