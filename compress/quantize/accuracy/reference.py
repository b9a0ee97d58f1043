"""`Reference`: what a quantized file is held against, of either task: images, and the float model's answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from compress.core.artifact import Metrics
from compress.core.stage import Reporter
from compress.measure.latency import Timed

Outputs = tuple[NDArray[np.float32], ...]  # of a network, each [N, ...]
MAX_SQNR_DB = 120.0  # equal answers: no noise, but JSON has no infinity


class OpenedFile(Timed, Protocol):
    """A model file that can be run."""

    @property
    def path(self) -> Path:
        """Return the file."""


@dataclass(frozen=True)
class AnswerLoss:
    """How far answers are from those of the float network.

    Attributes:
        sqnr_db: of the logits, see `sqnr_db`; high is good.
        kl: mean divergence of the softmax from the float model's, in nats; 0 is equal.
        agreement_pct: same answers as the float model, 0..100.
        accuracy_pct: by the labels, 0..100; None without any.
    """

    sqnr_db: float
    kl: float
    agreement_pct: float
    accuracy_pct: float | None


class Reference(Protocol):
    """Images, and what the float model answers on them: every file made of it is held against the same."""

    @property
    def metric(self) -> Literal["top1", "map"]:
        """Return what accuracy is."""

    @property
    def alike(self) -> str:
        """Return what agreement is a share of: "images" or "boxes"."""

    @property
    def pixels_NHWC(self) -> NDArray[np.uint8]:  # noqa: N802 - tensors carry their axes
        """Return the images, resized and cropped."""

    @property
    def what(self) -> str:
        """Return what the images are, such as "validation images"."""

    @property
    def is_labelled(self) -> bool:
        """Return whether the right answers are known."""

    def on(self, chosen: Sequence[int]) -> Reference:
        """Return the reference on some of the images."""

    def opened(self, path: Path) -> OpenedFile:
        """Return a file, ready to run."""

    def measure(self, path: Path, reporter: Reporter) -> Metrics:
        """Return how a file answers.

        Always: agreement_pct against the float model, judged_images, judged_on. Where the images are labelled: the
        accuracy of both, such as top1_pct and float_top1_pct.
        """

    def compare(self, wanted: Outputs, found: Outputs) -> AnswerLoss:
        """Return how far a network's outputs for the images are from others."""

    def told(self, metrics: Metrics) -> str:
        """Return what `measure` found in words."""


def sqnr_db(float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32]) -> float:
    """Return the mean over images of 10 log10(|float|^2 / |float - quantized|^2), at most `MAX_SQNR_DB`."""
    signal_N = np.square(float_NK, dtype=np.float64).sum(axis=1)
    noise_N = np.square(float_NK.astype(np.float64) - answers_NK).sum(axis=1)
    smallest = 10.0 ** (-MAX_SQNR_DB / 10)
    ratio_N = np.maximum(signal_N, smallest) / np.maximum(noise_N, np.maximum(signal_N, 1.0) * smallest)
    return float(np.mean(np.minimum(10.0 * np.log10(ratio_N), MAX_SQNR_DB)))
