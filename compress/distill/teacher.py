"""The teacher: sees each training picture as it was trained to see it, and gives logits without gradient.

Legend: N pictures, C = 3, H = W = crop side of the student, K classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from compress.core.preprocess import Preprocess
from compress.errors import StageError


class Teacher:
    """A frozen model behind a conversion from the student's preprocessing to its own."""

    def __init__(self, model: nn.Module, own: Preprocess, student: Preprocess, device: str = "cpu") -> None:
        """Freeze the model in eval mode on the device.

        Args:
            model: images [N, 3, H, W] in its own preprocessing -> logits [N, K].
            own: the teacher's preprocessing.
            student: how the pictures arrive.
            device: where they arrive.
        """
        self._model = model.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self._crop_px = own.crop_px
        # (x * std + mean) undoes the student's normalisation, (p - mean) / std does the teacher's: one multiply-add
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in (own.mean, own.std))
        student_mean, student_std = (torch.tensor(v, dtype=torch.float64) for v in (student.mean, student.std))
        self._scale = (student_std / std).float().reshape(1, 3, 1, 1).to(device)
        self._shift = ((student_mean - mean) / std).float().reshape(1, 3, 1, 1).to(device)
        self._is_same = own.mean == student.mean and own.std == student.std

    def view(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return the student's pictures in the teacher's normalisation and size (antialiased bilinear)."""
        if not self._is_same:
            images_NCHW = images_NCHW * self._scale + self._shift
        if images_NCHW.shape[-1] != self._crop_px:
            size = (self._crop_px, self._crop_px)
            images_NCHW = F.interpolate(images_NCHW, size, mode="bilinear", antialias=True, align_corners=False)
        return images_NCHW.contiguous(memory_format=torch.channels_last)

    def logits(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return logits [N, K] for pictures in the student's preprocessing.

        Raises:
            StageError: the teacher gives NaN or infinity.
        """
        with torch.no_grad():
            logits_NK: torch.Tensor = self._model(self.view(images_NCHW))
        if not logits_NK.isfinite().all():
            raise StageError(
                "the teacher gives logits that are not finite, so it cannot teach",
                hint="check its weights with `imgc evaluate`; a damaged or diverged model must be trained again",
            )
        return logits_NK
