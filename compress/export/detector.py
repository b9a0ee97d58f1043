"""Exporting a detector: its file in ONNX or TFLite, checked, and its answers held against the source's.

Letters: N images, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from compress.core.artifact import Artifact, Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.spec import CALIBRATION_KEY, ModelSpec
from compress.core.stage import RunContext
from compress.core.storage import write_bytes
from compress.data.transforms import normalize
from compress.detect.answers import Boxes, boxes_of
from compress.detect.match import NOTHING, partners
from compress.errors import CheckError, UsageError
from compress.export import checks, parity, tflite_checks
from compress.export.config import ExportConfig, ParityBounds
from compress.export.onnx_detections import with_detections
from compress.export.postprocess import SameBoxes
from compress.export.source import choose_precision, in_precision
from compress.graph.finite import require_finite
from compress.graph.from_torch import to_onnx
from compress.graph.importer import import_detector
from compress.graph.metadata import embed_spec as embed_in_onnx
from compress.graph.proto import opset_of
from compress.graph.target_check import check_target
from compress.graph.targets import TARGETS
from compress.graph.versions import with_fixed_batch, with_opset
from compress.lower.detections import DETECTION_OP
from compress.lower.walk import lower
from compress.models.weights import load_model
from compress.runtime.detections import open_detections
from compress.runtime.detector import Detector, open_detector
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from compress.runtime.tflite_meta import unpack

_BOUNDS = {Precision.FP32: 1e-3, Precision.FP16: 5e-2}  # of the largest number, as for a classifier's logits
_NEAR = 0.05  # of a score above the threshold: two runtimes may disagree whether such a box is shown
_BATCH = 16
_OPSET = 18


def export_detector(config: ExportConfig, artifact: Artifact, path: Path, ctx: RunContext) -> StageOutput:
    """Write a detector's network as ONNX or TFLite, and hold its numbers and boxes against the source's.

    Raises:
        UsageError: a precision or converter that detectors are not written with.
        CheckError: the file breaks a check, or answers otherwise than its source.
    """
    _refuse(config)
    model, source, found = _read(config, artifact)
    precision = choose_precision(artifact, found, config)
    if config.target is not None:
        check_target(model, TARGETS[config.target], str(artifact.path))
    layout = "NHWC" if config.produces is Format.TFLITE else "NCHW"
    spec = source.model_copy(update={"layout": layout, "layers": (), "precision": precision})
    write = _write_onnx if config.produces is Format.ONNX else _write_tflite
    try:
        metrics = write(model, spec, found, path, postprocess=config.postprocess) | {"precision": str(precision)}
        after = open_detector(path)
        if config.produces is Format.TFLITE:
            metrics["delegate_partitions"] = after.delegate_partitions
        metrics |= _parity(open_detector(artifact.path), after, config, ctx)
    except BaseException:
        path.unlink(missing_ok=True)  # a file that broke a check is not left where somebody may take it
        raise
    pieces = metrics.get("delegate_partitions")
    ctx.reporter.info(
        f"{path.name}: {precision}, {path.stat().st_size / 1e6:.2f} MB, numbers within "
        f"{metrics['parity_max_abs_logit_diff']:.3g} of the source, {metrics['parity_agreement_pct']:.2f} % of the "
        f"boxes matched on {metrics['parity_images']} {metrics['parity_on']}"
        + (f", {metrics['parity_near_ties']} of the others near the threshold" if metrics["parity_near_ties"] else "")
        + ("" if pieces is None else f", {pieces} XNNPACK partition{'' if pieces == 1 else 's'}")
        + (f", {metrics['postprocess_agreement_pct']:.2f} % of its boxes found by itself" if config.postprocess else "")
    )
    return StageOutput(file_name=path.name, format=config.produces, spec=spec, metrics=metrics)


def _refuse(config: ExportConfig) -> None:
    """Refuse what a detector cannot be written with."""
    if config.converter != "lower":
        raise UsageError(
            f"export: converter '{config.converter}' is for classifiers; detectors are lowered by imgc",
            hint="leave `converter` out",
        )


def _read(config: ExportConfig, artifact: Artifact) -> tuple[onnx.ModelProto, ModelSpec, Precision]:
    """Return the source as ONNX, what it is, and how its numbers are stored."""
    if artifact.format is Format.TORCH:
        module, spec = load_model(artifact.path)
        model = to_onnx(module, spec, opset=config.opset or _OPSET, dynamic_batch=config.dynamic_batch)
        require_finite(model, artifact.path)
        return model, spec, Precision.FP32
    model, spec, found = import_detector(artifact.path)
    if config.opset is not None:
        model = with_opset(model, config.opset)
    return model if config.dynamic_batch else with_fixed_batch(model), spec, found


def _write_onnx(model: onnx.ModelProto, spec: ModelSpec, found: Precision, path: Path, *, postprocess: bool) -> Metrics:
    model = in_precision(model, found, spec.precision)
    metrics: Metrics = {"opset": opset_of(model)}
    if spec.precision is Precision.INT8:
        metrics |= checks.check_int8_onnx(model, path)
    if postprocess and spec.boxes is not None:
        model = with_detections(model, spec.boxes, spec.num_classes)
    embed_in_onnx(model, spec)
    checks.check_onnx(model, path, None)
    write_bytes(path, model.SerializeToString())
    return metrics


def _write_tflite(
    model: onnx.ModelProto, spec: ModelSpec, _found: Precision, path: Path, *, postprocess: bool
) -> Metrics:
    model = with_fixed_batch(model)
    half = spec.precision is Precision.FP16
    network = lower(model, half=half)
    lowered = lower(model, half=half, boxes=spec.boxes) if postprocess else network
    calibration = {one.key: one.value for one in model.metadata_props if one.key == CALIBRATION_KEY}
    data = embed_in_tflite(lowered.data, spec, calibration)
    unpacked = unpack(data, str(path))
    own = frozenset({DETECTION_OP} if postprocess else ())
    metrics = tflite_checks.check_tflite(unpacked, path, builtins_only=True, select_tf_ops=False, custom_ops=own)
    if spec.precision is Precision.INT8:
        metrics |= tflite_checks.check_int8(unpack(network.data), path)
        metrics |= tflite_checks.check_lossless(unpacked, path, model, lowered.grids, lowered.integers)
    write_bytes(path, data)
    return metrics


@dataclass
class _Compared:
    """How far two files' answers are apart: their numbers, and the boxes that have no partner."""

    worst: float = 0.0
    largest: float = 1.0
    boxes: int = 0
    alone: int = 0
    near: int = 0
    images: int = 0

    def add(self, first: Boxes, second: Boxes, threshold: float) -> None:
        """Count the boxes of one image."""
        self.images += 1
        for one, other in ((first, second), (second, first)):
            alone_B = partners(one, other) == NOTHING
            self.boxes += len(one)
            self.alone += int(alone_B.sum())
            self.near += int((alone_B & (one.scores_B < threshold + _NEAR)).sum())

    def share_pct(self, alone: int) -> float:
        """Return the share of boxes that are not among so many."""
        return 100.0 * (1.0 - alone / self.boxes) if self.boxes else 100.0


def _parity(before: Detector, after: Detector, config: ExportConfig, ctx: RunContext) -> Metrics:
    """Return how far the numbers of two files lie apart on the same images, and how many of their boxes match.

    A box just above the threshold in one file may be just below it in the other; it does not count against the share.
    Boxes that the second file finds itself are held against those that we find in its numbers.

    Raises:
        CheckError: they lie further apart than the bounds allow.
    """
    bounds = config.parity
    images_NCHW, on = _images(before.spec, bounds.images, ctx)
    inside = open_detections(after.path, after.spec.preprocess) if config.postprocess else None
    found, same = _Compared(), SameBoxes()
    for start in range(0, len(images_NCHW), _BATCH):
        part = images_NCHW[start : start + _BATCH]
        first, second = before.answers(part), after.answers(part)
        for one, other in zip(first, second, strict=True):
            found.worst = max(found.worst, float(np.abs(one - other).max()))
            found.largest = max(found.largest, float(np.abs(one).max()))
        ours = boxes_of(*second, after.coding)
        for pair in zip(boxes_of(*first, before.coding), ours, strict=True):
            found.add(*pair, before.coding.score_threshold)
        for pair in zip(ours, inside(part), strict=True) if inside else ():
            same.add(*pair, after.coding.score_threshold)
    _hold(found, before, after, bounds, on)
    shares = same.held(after.path, bounds.min_agreement_pct) if inside else {}
    return shares | {
        "parity_max_abs_logit_diff": found.worst,
        "parity_agreement_pct": found.share_pct(found.alone),
        "parity_near_ties": found.near,
        "parity_images": len(images_NCHW),
        "parity_on": on,
    }


def _hold(found: _Compared, before: Detector, after: Detector, bounds: ParityBounds, on: str) -> None:
    """Raise CheckError where two files lie further apart than the bounds allow; of int8 only the boxes are held."""
    share = _BOUNDS.get(after.spec.precision)
    allowed = bounds.max_abs_logit_diff
    if allowed is None and share is not None:
        allowed = share * found.largest
    agreement_pct = found.share_pct(found.alone - found.near)
    far = allowed is not None and found.worst > allowed
    few = on == "images" and agreement_pct < bounds.min_agreement_pct  # boxes in noise are near ties, all of them
    if far or few:
        numbers = f", allowed {allowed:.3g}," if allowed is not None else ","
        raise CheckError(
            f"{after.path}: its numbers differ by {found.worst:.3g} from those of {before.path}{numbers} and "
            f"{agreement_pct:.2f} % of the boxes match, at least {bounds.min_agreement_pct:g} % wanted "
            f"(n = {found.images} {on})",
            hint=f"`imgc export --set parity.min_agreement_pct={int(agreement_pct)}` takes the file as it is"
            if not far
            else "report it: the network holds an operator that is written wrongly",
        )


def _images(spec: ModelSpec, count: int, ctx: RunContext) -> tuple[parity.Floats, str]:
    """Return images_NCHW of the run, or noise where it has none to judge by."""
    pixels_NHWC = None
    if ctx.data is not None:
        pixels_NHWC = parity.images(ctx.data, spec.preprocess, count, ctx.seed, ctx.reporter, task="detect")
    if pixels_NHWC is None:
        return parity.noise(spec.input_chw, min(count, _BATCH), ctx.seed), "noise images"
    return normalize(pixels_NHWC, spec.preprocess), "images"
