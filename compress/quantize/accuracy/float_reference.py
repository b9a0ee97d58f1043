"""What a quantized file is worth: its answers beside the float model's, on labelled images or on others.

Shape suffixes: N images, H and W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from compress.core.artifact import Metrics
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.evaluate import top1_pct, torch_logits
from compress.quantize.accuracy.reference import AnswerLoss, Outputs, Reference, sqnr_db
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.evaluate import agreement_pct, evaluate, predict_pixels
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor

WANTED_AGREEMENT_PCT = 95.0  # below it the user is told what helps
UNSURE_PCT = 50.0  # a float model less sure than this answers near ties, which any rounding tips


@dataclass(frozen=True)
class FloatReference:
    """A `Reference` for classifiers.

    Attributes:
        pixels_NHWC: uint8, resized and cropped.
        float_NK: the float model's logits.
        labels_N: classes of the images, None where nobody labelled them.
        what: what the images are, such as "validation images".
    """

    pixels_NHWC: NDArray[np.uint8]
    float_NK: NDArray[np.float32]
    labels_N: tuple[int, ...] | None
    what: str

    metric: ClassVar[Literal["top1"]] = "top1"
    alike: ClassVar[str] = "images"

    @property
    def is_labelled(self) -> bool:
        """Return whether the classes are known."""
        return self.labels_N is not None

    def on(self, chosen: Sequence[int]) -> FloatReference:
        """Return the reference on some of the images."""
        labels_N = None if self.labels_N is None else tuple(self.labels_N[index] for index in chosen)
        taken = np.asarray(chosen)
        return replace(self, pixels_NHWC=self.pixels_NHWC[taken], float_NK=self.float_NK[taken], labels_N=labels_N)

    def opened(self, path: Path) -> Predictor:
        """Return a file, ready to run."""
        return open_predictor(path)

    def measure(self, path: Path, reporter: Reporter) -> Metrics:
        """Return how a file answers; sqnr_db and float_confidence_pct too."""
        predictor, metrics = self.opened(path), Metrics()
        if self.labels_N is not None:
            judged = evaluate(predictor, self.pixels_NHWC, self.labels_N, reporter)
            answers_NK = judged.logits_NK
            float_pct = top1_pct(self.float_NK, np.asarray(self.labels_N))
            metrics |= {"top1_pct": judged.top1_pct, "float_top1_pct": float_pct}
        else:
            answers_NK = predict_pixels(predictor, self.pixels_NHWC, reporter)
        return metrics | {
            "agreement_pct": agreement_pct(self.float_NK, answers_NK),
            "sqnr_db": sqnr_db(self.float_NK, answers_NK),
            "float_confidence_pct": confidence_pct(self.float_NK),
            "judged_images": len(self.float_NK),
            "judged_on": self.what,
        }

    def compare(self, wanted: Outputs, found: Outputs) -> AnswerLoss:
        """Return how far logits are from others."""
        (float_NK,), (answers_NK,) = wanted, found
        return AnswerLoss(
            sqnr_db=sqnr_db(float_NK, answers_NK),
            kl=softmax_kl(float_NK, answers_NK),
            agreement_pct=agreement_pct(float_NK, answers_NK),
            accuracy_pct=None if self.labels_N is None else top1_pct(answers_NK, np.asarray(self.labels_N)),
        )

    def told(self, metrics: Metrics) -> str:
        """Return what `measure` found in words."""
        top1 = ""
        if "top1_pct" in metrics:
            top1 = f"top-1 {metrics['top1_pct']:.2f} % (float {metrics['float_top1_pct']:.2f} %), "
        return (
            f"{top1}same answer as the float model on {metrics['agreement_pct']:.2f} % of {metrics['judged_images']} "
            f"{metrics['judged_on']}, SQNR of the logits {metrics['sqnr_db']:.1f} dB"
        )


def reference_of(
    graph: TorchGraph, split: Split, preprocess: Preprocess, what: str, reporter: Reporter, *, labelled: bool
) -> FloatReference:
    """Return what a float model answers on these images, to judge others by; see `judge` for the arguments."""
    pixels_NHWC = evaluation_pixels(split, preprocess, reporter)
    float_NK = torch_logits(graph, pixels_NHWC, preprocess)
    return FloatReference(pixels_NHWC, float_NK, split.labels_N if labelled else None, what)


def judge(path: Path, reference: Reference, remedies: Sequence[str], reporter: Reporter) -> Metrics:
    """Return the metrics of the written file, which is what will be shipped; `remedies` are told where it is bad."""
    metrics = reference.measure(path, reporter)
    reporter.info(f"the file: {reference.told(metrics)}")
    if advice := advice_on(metrics, remedies, reference.alike):
        reporter.warn(advice)
    return metrics


def advice_on(metrics: Metrics, remedies: Sequence[str], alike: str = "images") -> str:
    """Return what helps a file that answers unlike the float model too often; empty where it does not, or none does."""
    agreement = float(metrics["agreement_pct"] or 0.0)
    confidence = float(metrics.get("float_confidence_pct") or 100.0)  # nothing is known of a detector's
    if agreement >= WANTED_AGREEMENT_PCT or not remedies:
        return ""
    text = f"the file and the float model answer alike on fewer than {WANTED_AGREEMENT_PCT:g} % of the {alike}"
    if confidence < UNSURE_PCT and "top1_pct" not in metrics:
        text += (
            f"; the float model is not sure of them (half of its answers are at most {confidence:.0f} % likely): "
            "images like those it was trained on say more, and calibrate better"
        )
    return text + "\n  " + "; ".join(remedies)


def confidence_pct(logits_NK: NDArray[np.float32]) -> float:
    """Return the median over images of the likeliest class's probability, 0..100; logits may be probabilities."""
    if logits_NK.min() >= 0.0 and np.allclose(logits_NK.sum(axis=1), 1.0, atol=1e-3):
        return float(100.0 * np.median(logits_NK.max(axis=1)))
    shifted_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    return float(np.median(100.0 / np.exp(shifted_NK, dtype=np.float64).sum(axis=1)))


def softmax_kl(float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32]) -> float:
    """Return the mean over images of KL(softmax(float) || softmax(answers)), in nats."""
    p_NK, q_NK = _log_softmax(float_NK), _log_softmax(answers_NK)
    return max(0.0, float(np.mean((np.exp(p_NK) * (p_NK - q_NK)).sum(axis=1))))


def _log_softmax(logits_NK: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted_NK = logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True)
    normalised: NDArray[np.float64] = shifted_NK - np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    return normalised
