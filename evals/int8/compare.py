"""An int8 file beside its float model: how well it answers, and how long it takes.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from numpy.typing import NDArray

from compress.core.formats import Format, Precision, format_of
from compress.core.spec import ModelSpec
from compress.core.stage import SilentReporter
from compress.errors import UsageError
from compress.measure.latency import Timing, measure_latency
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Floats, Predictor, damaged
from compress.runtime.tflite_meta import schema, unpack

_CALLS = 20  # timed calls of each file in one round: two blocks, the second in reverse order


@dataclass(frozen=True)
class Judgement:
    """How well a file answers.

    Attributes:
        n_images: number of images.
        top1_pct: 0..100.
        agreement_pct: same top-1 answer as the reference, 0..100.
        int8_weight_pct: see the function.
        logits_NK: the raw answers.
    """

    n_images: int
    top1_pct: float
    agreement_pct: float
    int8_weight_pct: float
    logits_NK: Floats


@dataclass(frozen=True)
class LatencyRatio:
    """How long a file takes beside another, measured in turns.

    Attributes:
        p50_ms: median over the rounds of the file's median call.
        ratio: median over the rounds of (file's median / other's median); below 1 the file is faster.
        low: lower quartile of the rounds' ratios.
        high: upper quartile.
        rounds: number of rounds.
    """

    p50_ms: float
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
    return Judgement(
        n_images=found.n_images,
        top1_pct=found.top1_pct,
        agreement_pct=agreement_pct(reference_NK, found.logits_NK),
        int8_weight_pct=int8_weight_pct(path),
        logits_NK=found.logits_NK,
    )


def int8_weight_pct(path: Path) -> float:
    """Return how many of a file's weights (constants of two axes and more) are stored as 8-bit integers, 0..100.

    Below 100 a tool left layers float, which keeps accuracy and costs time; at 0 the file is not int8 at all.

    Raises:
        ModelFileError: the file is damaged, or neither ONNX nor TFLite.
    """
    weights = _tflite_weights(path) if format_of(path) is Format.TFLITE else _onnx_weights(path)
    sizes = {kind: sum(size for is_int8, size in weights if is_int8 is kind) for kind in (True, False)}
    return 100.0 * sizes[True] / max(sum(sizes.values()), 1)


def _onnx_weights(path: Path) -> list[tuple[bool, int]]:
    """Return (stored as 8-bit integers, number of elements) of every weight."""
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's and the file system's errors share no base class
        raise damaged(path, "ONNX", error) from error
    return [
        (tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8), math.prod(tensor.dims))
        for tensor in model.graph.initializer
        if len(tensor.dims) > 1
    ]


def _tflite_weights(path: Path) -> list[tuple[bool, int]]:
    """Return the same of a TFLite file."""
    model, types = unpack(path.read_bytes(), str(path)), schema().TensorType
    return [
        (tensor.type in (types.INT8, types.UINT8), math.prod(tensor.shape))
        for tensor in model.subgraphs[0].tensors
        if len(tensor.shape) > 1 and model.buffers[tensor.buffer].data is not None
    ]


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
    return LatencyRatio(median(times["file"]), middle, low, high, rounds)
