"""An int8 file beside its float model: how well it answers, and how long it takes.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.latency import Timing, measure_latency
from compress.core.formats import Precision
from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.errors import UsageError
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.predictor import Floats, Predictor, open_predictor

_CALLS = 20  # timed calls of each file in one round: two blocks, the second in reverse order


@dataclass(frozen=True)
class Judgement:
    """How well a file answers.

    Attributes:
        n_images: number of pictures.
        top1_pct: 0..100.
        agreement_pct: same top-1 answer as the reference, 0..100.
        logits_NK: the raw answers.
    """

    n_images: int
    top1_pct: float
    agreement_pct: float
    logits_NK: Floats


@dataclass(frozen=True)
class LatencyRatio:
    """How long a file takes beside another, measured in turns.

    Attributes:
        p50_ms: median over the rounds of the file's median call.
        reference_p50_ms: the same of the other file.
        ratio: median over the rounds of (file's median / other's median); below 1 the file is faster.
        low: lower quartile of the rounds' ratios.
        high: upper quartile.
        rounds: number of rounds.
    """

    p50_ms: float
    reference_p50_ms: float
    ratio: float
    low: float
    high: float
    rounds: int


def open_int8(path: Path, spec: ModelSpec, threads: int = 1) -> Predictor:
    """Return another tool's int8 file, ready; `spec` is the float model's, since the file need not carry one.

    Raises:
        ModelFileError: the file is damaged, or its sizes are not the spec's.
    """
    return open_predictor(path, threads=threads, spec=spec.model_copy(update={"precision": Precision.INT8}))


def evaluate_file(
    path: Path, spec: ModelSpec, pixels_NHWC: NDArray[np.uint8], labels_N: Sequence[int], reference_NK: Floats
) -> Judgement:
    """Return how well an int8 file answers, and how often as the float model does.

    Args:
        path: an .onnx or .tflite file of any tool.
        spec: the float model's.
        pixels_NHWC: uint8, resized and cropped as the spec says.
        labels_N: class index of each.
        reference_NK: the float model's logits for the same pixels.

    Raises:
        ModelFileError: the file is damaged, or its sizes are not the spec's.
        StageError: it answers NaN or infinity.
    """
    found = evaluate(open_int8(path, spec), pixels_NHWC, labels_N)
    return Judgement(found.n_images, found.top1_pct, agreement_pct(reference_NK, found.logits_NK), found.logits_NK)


def latency_ratio(predictor: Predictor, reference: Predictor, image_NCHW: Floats, rounds: int = 15) -> LatencyRatio:
    """Return the time of one file beside another's; each round times both in turns, in alternating order.

    The ratio of a round sees one state of the machine, so the median of ratios stands noise that medians of times
    do not.

    Raises:
        UsageError: `rounds` is below 1.
    """
    if rounds < 1:
        raise UsageError(f"rounds must be at least 1, found {rounds}")
    pair = {"file": predictor, "reference": reference}
    images = dict.fromkeys(pair, image_NCHW)
    timing = Timing(warmup=2, repeats=_CALLS, budget_s=60.0)
    times: dict[str, list[float]] = {name: [] for name in pair}
    for number in range(rounds):
        order = dict(reversed(pair.items())) if number % 2 else pair
        for name, latency in measure_latency(order, images, timing, SilentReporter()).items():
            times[name].append(latency.p50_ms)
    ratios = np.array(times["file"]) / np.array(times["reference"])
    low, middle, high = (float(value) for value in np.percentile(ratios, [25, 50, 75]))
    return LatencyRatio(median(times["file"]), median(times["reference"]), middle, low, high, rounds)
