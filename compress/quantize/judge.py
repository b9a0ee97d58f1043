"""What a quantized file is worth: its answers beside the float model's, on labelled pictures or on others.

Shape suffixes: N pictures, H and W pixels, C channels, K classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.core.artifact import Metrics
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.evaluate import top1_pct, torch_logits
from compress.quantize.torch_graph import TorchGraph
from compress.runtime.evaluate import agreement_pct, evaluate, predict_pixels
from compress.runtime.predictor import open_predictor

MAX_SQNR_DB = 120.0  # equal answers: no noise, but JSON has no infinity


def judge(path: Path, graph: TorchGraph, split: Split, what: str, reporter: Reporter, *, labelled: bool) -> Metrics:
    """Return the metrics of the written file, which is what will be shipped.

    Always: agreement_pct and sqnr_db against the float model, judged_images, judged_on. Where the pictures are
    labelled: top1_pct and float_top1_pct.

    Args:
        path: the quantized file.
        graph: the float model.
        split: pictures; its labels count only if they are classes.
        what: what the pictures are, such as "validation pictures".
        reporter: hears the result.
        labelled: whether the labels are the model's classes.
    """
    predictor = open_predictor(path)
    preprocess = predictor.spec.preprocess
    pixels_NHWC = evaluation_pixels(split, preprocess, reporter)
    float_NK = torch_logits(graph, pixels_NHWC, preprocess)
    metrics: Metrics = {}
    text = ""
    if labelled:
        judged = evaluate(predictor, pixels_NHWC, split.labels_N, reporter)
        answers_NK = judged.logits_NK
        metrics |= {"top1_pct": judged.top1_pct, "float_top1_pct": top1_pct(float_NK, np.asarray(split.labels_N))}
        text = f"top-1 {metrics['top1_pct']:.2f} % (float {metrics['float_top1_pct']:.2f} %), "
    else:
        answers_NK = predict_pixels(predictor, pixels_NHWC, reporter)
    agreement, sqnr = agreement_pct(float_NK, answers_NK), sqnr_db(float_NK, answers_NK)
    reporter.info(
        f"the file: {text}same answer as the float model on {agreement:.2f} % of {len(split)} {what}, "
        f"SQNR of the logits {sqnr:.1f} dB"
    )
    return metrics | {
        "agreement_pct": agreement,
        "sqnr_db": sqnr,
        "judged_images": len(split),
        "judged_on": what,
    }


def sqnr_db(float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32]) -> float:
    """Return the mean over pictures of 10 log10(|float|^2 / |float - quantized|^2), at most `MAX_SQNR_DB`."""
    signal_N = np.square(float_NK, dtype=np.float64).sum(axis=1)
    noise_N = np.square(float_NK.astype(np.float64) - answers_NK).sum(axis=1)
    smallest = 10.0 ** (-MAX_SQNR_DB / 10)
    ratio_N = np.maximum(signal_N, smallest) / np.maximum(noise_N, np.maximum(signal_N, 1.0) * smallest)
    return float(np.mean(np.minimum(10.0 * np.log10(ratio_N), MAX_SQNR_DB)))
