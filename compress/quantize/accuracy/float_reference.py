"""What a quantized file is worth: its answers beside the float model's, on labelled images or on others.

Shape suffixes: N images, H and W pixels, C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.core.artifact import Metrics
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.evaluate import top1_pct, torch_logits
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.evaluate import agreement_pct, evaluate, predict_pixels
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor

WANTED_AGREEMENT_PCT = 95.0  # below it the user is told what helps
UNSURE_PCT = 50.0  # a float model less sure than this answers near ties, which any rounding tips
MAX_SQNR_DB = 120.0  # equal answers: no noise, but JSON has no infinity


@dataclass(frozen=True)
class FloatReference:
    """Images, and what the float model answers on them: every file made of it is held against the same.

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

    def measure(self, predictor: Predictor, reporter: Reporter) -> Metrics:
        """Return how an opened file answers, as `judge` has it."""
        metrics: Metrics = {}
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


def reference_of(
    graph: TorchGraph, split: Split, preprocess: Preprocess, what: str, reporter: Reporter, *, labelled: bool
) -> FloatReference:
    """Return what a float model answers on these images, to judge others by; see `judge` for the arguments."""
    pixels_NHWC = evaluation_pixels(split, preprocess, reporter)
    float_NK = torch_logits(graph, pixels_NHWC, preprocess)
    return FloatReference(pixels_NHWC, float_NK, split.labels_N if labelled else None, what)


def judge(path: Path, float_reference: FloatReference, remedies: Sequence[str], reporter: Reporter) -> Metrics:
    """Return the metrics of the written file, which is what will be shipped; `remedies` are told where it is bad.

    Always: agreement_pct and sqnr_db against the float model, float_confidence_pct, judged_images, judged_on. Where
    the images are labelled: top1_pct and float_top1_pct.
    """
    metrics = float_reference.measure(open_predictor(path), reporter)
    reporter.info(f"the file: {told(metrics)}")
    if advice := advice_on(metrics, remedies):
        reporter.warn(advice)
    return metrics


def advice_on(metrics: Metrics, remedies: Sequence[str]) -> str:
    """Return what helps a file that answers unlike the float model too often; empty where it does not, or none does."""
    agreement, confidence = float(metrics["agreement_pct"] or 0.0), float(metrics["float_confidence_pct"] or 0.0)
    if agreement >= WANTED_AGREEMENT_PCT or not remedies:
        return ""
    text = f"the file and the float model answer alike on fewer than {WANTED_AGREEMENT_PCT:g} % of the images"
    if confidence < UNSURE_PCT and "top1_pct" not in metrics:
        text += (
            f"; the float model is not sure of them (half of its answers are at most {confidence:.0f} % likely): "
            "images like those it was trained on say more, and calibrate better"
        )
    return text + "\n  " + "; ".join(remedies)


def told(metrics: Metrics) -> str:
    """Return the metrics of a judgement in words."""
    top1 = ""
    if "top1_pct" in metrics:
        top1 = f"top-1 {metrics['top1_pct']:.2f} % (float {metrics['float_top1_pct']:.2f} %), "
    return (
        f"{top1}same answer as the float model on {metrics['agreement_pct']:.2f} % of {metrics['judged_images']} "
        f"{metrics['judged_on']}, SQNR of the logits {metrics['sqnr_db']:.1f} dB"
    )


def confidence_pct(logits_NK: NDArray[np.float32]) -> float:
    """Return the median over images of the likeliest class's probability, 0..100; logits may be probabilities."""
    if logits_NK.min() >= 0.0 and np.allclose(logits_NK.sum(axis=1), 1.0, atol=1e-3):
        return float(100.0 * np.median(logits_NK.max(axis=1)))
    shifted_NK = logits_NK - logits_NK.max(axis=1, keepdims=True)
    return float(np.median(100.0 / np.exp(shifted_NK, dtype=np.float64).sum(axis=1)))


def sqnr_db(float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32]) -> float:
    """Return the mean over images of 10 log10(|float|^2 / |float - quantized|^2), at most `MAX_SQNR_DB`."""
    signal_N = np.square(float_NK, dtype=np.float64).sum(axis=1)
    noise_N = np.square(float_NK.astype(np.float64) - answers_NK).sum(axis=1)
    smallest = 10.0 ** (-MAX_SQNR_DB / 10)
    ratio_N = np.maximum(signal_N, smallest) / np.maximum(noise_N, np.maximum(signal_N, 1.0) * smallest)
    return float(np.mean(np.minimum(10.0 * np.log10(ratio_N), MAX_SQNR_DB)))
