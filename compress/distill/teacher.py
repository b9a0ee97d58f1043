"""Teachers: each sees the training images as it was trained to see them, and gives logits without gradient.

Legend: M teachers, N images, C = 3, H = W = crop side, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from compress.core.outputs import as_logits
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.distill.hints import captured
from compress.engine.evaluate import torch_logits
from compress.errors import StageError
from compress.runtime.evaluate import predict_pixels
from compress.runtime.predictor import Predictor


class PreprocessConversion:
    """The conversion of the student's images to another model's normalisation, order of channels and size."""

    def __init__(self, own: Preprocess, student: Preprocess, device: str) -> None:
        """Prepare the conversion from `student` to `own`, on the device."""
        self._crop_px = own.crop_px
        # (x * std + mean) undoes the student's normalisation, (p - mean) / std does the teacher's: one multiply-add
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in (own.mean, own.std))
        student_mean, student_std = (torch.tensor(v, dtype=torch.float64) for v in (student.mean, student.std))
        self._is_turned = own.channel_order != student.channel_order
        if self._is_turned:
            student_mean, student_std = student_mean.flip(0), student_std.flip(0)
        self._scale = (student_std / std).float().reshape(1, 3, 1, 1).to(device)
        self._shift = ((student_mean - mean) / std).float().reshape(1, 3, 1, 1).to(device)
        self._is_same = torch.equal(mean, student_mean) and torch.equal(std, student_std)

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return the student's images in the teacher's normalisation, order of channels and size.

        Antialiased bilinear whatever filter the teacher's evaluation has: augmentation, which the student's images
        come from, and which a teacher of this project was trained with, reads bilinear too.
        """
        if self._is_turned:
            images_NCHW = images_NCHW.flip(1)
        if not self._is_same:
            images_NCHW = images_NCHW * self._scale + self._shift
        if images_NCHW.shape[-1] != self._crop_px:
            size = (self._crop_px, self._crop_px)
            images_NCHW = F.interpolate(images_NCHW, size, mode="bilinear", antialias=True, align_corners=False)
        return images_NCHW.contiguous(memory_format=torch.channels_last)


class Teaches(Protocol):
    """What gives soft labels."""

    def logits(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return logits [N, K] for images in the student's preprocessing, on their device.

        Raises:
            StageError: they are NaN or infinite.
        """

    def evaluate(self, pixels_NHWC: np.ndarray) -> np.ndarray:
        """Return float32 logits [N, K] for uint8 evaluation pixels in the teacher's own geometry.

        Raises:
            StageError: they are NaN or infinite.
        """


class Teacher:
    """A frozen torch model behind its view."""

    def __init__(
        self, model: nn.Module, own: Preprocess, student: Preprocess, device: str = "cpu", *, bf16: bool = False
    ) -> None:
        """Freeze the model in eval mode on the device, channels_last.

        Args:
            model: images [N, 3, H, W] in its own preprocessing -> logits [N, K].
            own: the teacher's preprocessing.
            student: how the images arrive.
            device: where they arrive.
            bf16: whether training images go through it in bfloat16 (autocast).
        """
        self.model = model.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
        self.convert = PreprocessConversion(own, student, device)
        self._own = own
        self._autocast = torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=bf16)

    def logits(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return float32 logits [N, K]; see `Teaches`."""
        with torch.no_grad(), self._autocast:
            logits_NK: torch.Tensor = self.model(self.convert(images_NCHW))
        return _finite(logits_NK.float())

    def logits_and_features(
        self, images_NCHW: torch.Tensor, names: Sequence[str]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits [N, K] and the outputs of these modules, float32, from one pass; see `Teaches`."""
        with captured(self.model, names) as features:
            logits_NK = self.logits(images_NCHW)
        return logits_NK, [features[name].float() for name in names]

    def evaluate(self, pixels_NHWC: np.ndarray) -> np.ndarray:
        """Return float32 logits [N, K]; see `Teaches`."""
        return _finite(torch.from_numpy(torch_logits(self.model, pixels_NHWC, self._own))).numpy()


class FileTeacher:
    """A model file that its own runtime computes, on the CPU, behind its view."""

    def __init__(self, predictor: Predictor, student: Preprocess, device: str = "cpu") -> None:
        """Take an opened file; `student` is how the images arrive, `device` where."""
        self._predictor = predictor
        self.convert = PreprocessConversion(predictor.spec.preprocess, student, device)

    def logits(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return float32 logits [N, K]; see `Teaches`."""
        images = self.convert(images_NCHW).cpu().contiguous(memory_format=torch.contiguous_format)
        outputs_NK = self._predictor.predict(images.numpy())
        logits_NK = torch.from_numpy(as_logits(outputs_NK, self._predictor.spec.outputs))
        return _finite(logits_NK).to(images_NCHW.device)

    def evaluate(self, pixels_NHWC: np.ndarray) -> np.ndarray:
        """Return float32 logits [N, K]; see `Teaches`."""
        return as_logits(predict_pixels(self._predictor, pixels_NHWC, SilentReporter()), self._predictor.spec.outputs)


def mean_answer(logits_MNK: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return logits [N, K] whose softmax at this temperature is the mean of the teachers' softmaxes at it.

    The soft target of an ensemble in Hinton, Vinyals & Dean 2015, section 3 (the arithmetic mean). One teacher's
    logits come back as they are.
    """
    if len(logits_MNK) == 1:
        return logits_MNK[0]
    log_p_MNK = F.log_softmax(logits_MNK / temperature, dim=2)
    return temperature * (log_p_MNK.logsumexp(dim=0) - math.log(len(logits_MNK)))


def _finite(logits_NK: torch.Tensor) -> torch.Tensor:
    if not logits_NK.isfinite().all():
        raise StageError(
            "the teacher gives logits that are not finite, so it cannot teach",
            hint="check its weights with `imgc evaluate`; a damaged or diverged model must be trained again",
        )
    return logits_NK
