"""Whether the post-processing inside a detector's file finds the boxes that our own finds in its raw numbers.

Letters: N images, B and D boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.core.artifact import Metrics
from compress.detect.answers import Boxes
from compress.errors import CheckError

_SCORE, _CORNER = 1e-4, 1e-3  # two runtimes' exp(); of the square
_HINT = (
    "`imgc export --set parity.min_agreement_pct={pct}` takes the file as it is (TFLite's operator does not cut boxes "
    "at the sides of the image before they suppress each other); or leave `postprocess` out"
)


@dataclass
class SameBoxes:
    """Counts the boxes that two answers to the same images have in common.

    Attributes:
        boxes: in both.
        alone: those that the other has not: of one class, score and place.
    """

    boxes: int = 0
    alone: int = 0

    def add(self, ours: Boxes, inside: Boxes, threshold: float) -> None:
        """Count the boxes of one image; a score within rounding of the threshold may be on either side of it."""
        same_BD = (
            (ours.classes_B[:, None] == inside.classes_B[None])
            & (np.abs(ours.scores_B[:, None] - inside.scores_B[None]) <= _SCORE)
            & (np.abs(ours.corners_B4[:, None] - inside.corners_B4[None]) <= _CORNER).all(axis=2)
        )
        for one, found in ((ours, same_BD.any(axis=1)), (inside, same_BD.any(axis=0))):
            self.boxes += len(one)
            self.alone += int((~found & (one.scores_B > threshold + _SCORE)).sum())

    def held(self, path: Path, min_agreement_pct: float) -> Metrics:
        """Return the share of the boxes that both have.

        Raises:
            CheckError: it is below the bound.
        """
        pct = 100.0 * (1.0 - self.alone / self.boxes) if self.boxes else 100.0
        if pct < min_agreement_pct:
            raise CheckError(
                f"{path}: its own post-processing finds {pct:.2f} % of the boxes as imgc does from its raw numbers, at "
                f"least {min_agreement_pct:g} % wanted ({self.alone} of {self.boxes} boxes differ)",
                hint=_HINT.format(pct=int(pct)),
            )
        return {"postprocess_agreement_pct": pct}
