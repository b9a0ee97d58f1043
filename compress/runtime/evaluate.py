"""How well a model answers: top-1, top-5, the interval around them, agreement between two models.

Shape suffixes: N images, H height, W width, C channels, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.core.outputs import OutputKind
from compress.core.stage import Reporter, SilentReporter
from compress.data.transforms import normalize
from compress.errors import DataError, StageError
from compress.runtime.predictor import Floats, Predictor

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_ECE_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """The answers of one model on one split.

    Attributes:
        n_images: number of images, at least 1.
        top1_pct: share of images whose largest logit is the label's, 0..100.
        top1_ci95_pct: 95 % Wilson interval of `top1_pct`.
        top5_pct: share whose label is among the min(5, K) largest logits.
        logits_NK: float32, the raw answers in the order of the split.
        outputs: what they are.
    """

    n_images: int
    top1_pct: float
    top1_ci95_pct: tuple[float, float]
    top5_pct: float
    logits_NK: Floats
    outputs: OutputKind = "logits"


def evaluate(
    predictor: Predictor,
    pixels_NHWC: NDArray[np.uint8],
    labels_N: Sequence[int],
    reporter: Reporter | None = None,
    batch: int = 32,
) -> Evaluation:
    """Return accuracy and logits of a model on pixels that `compress.data` has resized and cropped (uint8, RGB).

    Raises:
        DataError: there are no images, or labels that the model has no class for.
        StageError: the model answers NaN or infinity, or takes images of another size.
    """
    labels = np.asarray(labels_N, dtype=np.int64)
    _check_labels(predictor, len(pixels_NHWC), labels)
    logits_NK = predict_pixels(predictor, pixels_NHWC, reporter or SilentReporter(), batch)
    correct, correct5 = _count_correct(logits_NK, labels)
    n = len(labels)
    return Evaluation(
        n_images=n,
        top1_pct=100.0 * correct / n,
        top1_ci95_pct=wilson_ci95_pct(correct, n),
        top5_pct=100.0 * correct5 / n,
        logits_NK=logits_NK,
        outputs=predictor.spec.outputs,
    )


def predict_pixels(predictor: Predictor, pixels_NHWC: NDArray[np.uint8], reporter: Reporter, batch: int = 32) -> Floats:
    """Return logits_NK for pixels; preprocessing is normalised in batches, so memory stays bounded.

    Raises:
        StageError: the model answers NaN or infinity.
    """
    n = len(pixels_NHWC)
    logits_NK = np.empty((n, predictor.spec.num_classes), dtype=np.float32)
    with reporter.progress(f"evaluate {predictor.path.name}", n) as advance:
        for start in range(0, n, batch):
            chunk = pixels_NHWC[start : start + batch]
            answers = predictor.predict(normalize(chunk, predictor.spec.preprocess))
            bad = ~np.isfinite(answers).all(axis=1)
            if bad.any():
                raise StageError(
                    f"{predictor.path}: answers NaN or infinity for {int(bad.sum())} of {len(answers)} images,"
                    f" first for image {start + int(bad.argmax())}",
                    hint="the weights are damaged, or fp16 overflows; look at the stage that made this file",
                )
            logits_NK[start : start + len(answers)] = answers
            advance(len(answers))
    return logits_NK


def agreement_pct(logits_a_NK: Floats, logits_b_NK: Floats) -> float:
    """Return the share of images on which two models give the same top-1 answer, 0..100.

    Raises:
        StageError: the two have different shapes, or no rows.
    """
    if logits_a_NK.shape != logits_b_NK.shape or len(logits_a_NK) == 0:
        raise StageError(f"cannot compare answers of shapes {list(logits_a_NK.shape)} and {list(logits_b_NK.shape)}")
    same = logits_a_NK.argmax(axis=1) == logits_b_NK.argmax(axis=1)
    return 100.0 * int(same.sum()) / len(same)


def wilson_ci95_pct(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of `correct` out of `n`, in percent (Wilson 1927).

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n); unlike the normal interval it stays inside 0..100.
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"need 0 <= correct <= n and n >= 1, found {correct} and {n}")
    share, z2 = correct / n, Z95 * Z95
    centre = share + z2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (centre - spread) / (1 + z2 / n), (centre + spread) / (1 + z2 / n)
    # the share lies inside; at 0 and 1 float rounding would put it just outside
    return 100.0 * max(0.0, min(low, share)), 100.0 * min(1.0, max(high, share))


def mcnemar_p(lost: int, gained: int) -> float:
    """Return the exact two-sided p of so uneven a split of `lost + gained` images, 0..1 (McNemar 1947).

    Under chance alone each of the n images on which only one of two models is right is a fair coin:
    p = 2 sum_(k <= min) C(n, k) / 2^n. The last term is exact; each one before it is smaller by k / (n - k + 1), so
    that 100,000 images take milliseconds.
    """
    n, fewer = lost + gained, min(lost, gained)
    term = total = 1.0
    for k in range(fewer, 0, -1):
        term *= k / (n - k + 1)
        total += term
        if term < total * 1e-17:
            break
    last = math.comb(n, fewer) / (1 << n)
    return min(1.0, 2.0 * last * total)


def expected_calibration_error_pct(shares_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> float:
    """Return by how much confidence and accuracy differ, 0..100 (Guo et al. 2017, "On Calibration", equation 3).

    ECE = sum_m |B_m| / n |accuracy(B_m) - confidence(B_m)|, over 15 equal bins ((m - 1) / M, m / M] of the confidence,
    which is the share of the answered class.
    """
    confidence_N = shares_NK.max(axis=1)
    right_N = (shares_NK.argmax(axis=1) == labels_N).astype(np.float64)
    bins_N = np.clip(np.ceil(confidence_N * _ECE_BINS).astype(np.int64) - 1, 0, _ECE_BINS - 1)
    gaps_M = np.bincount(bins_N, weights=right_N - confidence_N, minlength=_ECE_BINS)
    return 100.0 * float(np.abs(gaps_M).sum()) / len(labels_N)


def _check_labels(predictor: Predictor, n_pixels: int, labels_N: NDArray[np.int64]) -> None:
    if n_pixels == 0 or n_pixels != len(labels_N):
        raise DataError(
            f"need one label for each image and at least one, found {n_pixels} images, {len(labels_N)} labels"
        )
    classes = predictor.spec.num_classes
    if labels_N.min() < 0 or labels_N.max() >= classes:
        raise DataError(
            f"{predictor.path}: knows {classes} classes (0..{classes - 1}), the labels reach {int(labels_N.max())}",
            hint="evaluate it on the data set it was trained for",
        )


def _count_correct(logits_NK: Floats, labels_N: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many labels are first, and how many in the first min(5, K); of equal logits the lower index wins."""
    order_NK = np.argsort(-logits_NK, axis=1, kind="stable")
    hits_NK = order_NK[:, :5] == labels_N[:, None]
    return int(hits_NK[:, 0].sum()), int(hits_NK.any(axis=1).sum())
