"""Exporting a detector: its file in ONNX or TFLite, checked, and its answers held against the source's.

Letters: N images, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.core.artifact import Artifact, Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.core.storage import write_bytes
from compress.data.transforms import normalize
from compress.detect.answers import boxes_of
from compress.detect.match import matched
from compress.errors import CheckError, UsageError
from compress.export import checks, parity, tflite_checks
from compress.export.config import ExportConfig, ParityBounds
from compress.graph.finite import require_finite
from compress.graph.from_torch import to_onnx
from compress.graph.metadata import embed_spec as embed_in_onnx
from compress.graph.proto import opset_of
from compress.graph.versions import with_fixed_batch
from compress.lower.walk import lower
from compress.models.weights import load_model
from compress.runtime.detector import Detector, open_detector
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from compress.runtime.tflite_meta import unpack

_BOUND = 1e-3  # of the largest number, as for a classifier's logits
_BATCH = 16
_OPSET = 18


def export_detector(config: ExportConfig, artifact: Artifact, path: Path, ctx: RunContext) -> StageOutput:
    """Write a detector's network as ONNX or TFLite (float32), and hold its numbers and boxes against the source's.

    Raises:
        UsageError: a format or precision that detectors are not written in.
        CheckError: the file breaks a check, or answers otherwise than its source.
    """
    _refuse(config, artifact)
    module, own = load_model(artifact.path)
    model = to_onnx(module, own, opset=config.opset or _OPSET, dynamic_batch=config.dynamic_batch)
    require_finite(model, artifact.path)
    layout = "NHWC" if config.produces is Format.TFLITE else "NCHW"
    spec = own.model_copy(update={"layout": layout, "layers": ()})
    metrics: Metrics = {"precision": str(Precision.FP32)}
    if config.produces is Format.ONNX:
        embed_in_onnx(model, spec)
        checks.check_onnx(model, path, None)
        metrics["opset"] = opset_of(model)
        data = model.SerializeToString()
    else:
        data = embed_in_tflite(lower(with_fixed_batch(model)).data, spec, {})
        metrics |= tflite_checks.check_tflite(unpack(data, str(path)), path, builtins_only=True, select_tf_ops=False)
    write_bytes(path, data)
    try:
        metrics |= _parity(open_detector(artifact.path), open_detector(path), config.parity, ctx)
    except BaseException:
        path.unlink(missing_ok=True)  # a file that broke a check is not left where somebody may take it
        raise
    ctx.reporter.info(
        f"{path.name}: fp32, {path.stat().st_size / 1e6:.2f} MB, numbers within "
        f"{metrics['parity_max_abs_logit_diff']:.3g} of the source, {metrics['parity_agreement_pct']:.2f} % of the "
        f"boxes matched on {metrics['parity_images']} {metrics['parity_on']}"
    )
    return StageOutput(file_name=path.name, format=config.produces, spec=spec, metrics=metrics)


def _refuse(config: ExportConfig, artifact: Artifact) -> None:
    """Refuse what a detector cannot be written as."""
    if artifact.format is not Format.TORCH:
        raise UsageError(
            f"export: '{artifact.path}' is a detector's {artifact.format} file, and only the trained one is exported",
            hint="name the stage that trained it: --from train",
        )
    wanted = {"precision": config.precision in ("auto", "fp32"), "converter": config.converter == "lower"}
    wanted["target"] = config.target is None
    if odd := [name for name, fine in wanted.items() if not fine]:
        raise UsageError(
            f"export: {odd[0]} '{getattr(config, odd[0])}' is for classifiers; detectors are written in float32 by our "
            "own lowering",
            hint=f"leave `{odd[0]}` out",
        )


def _parity(before: Detector, after: Detector, bounds: ParityBounds, ctx: RunContext) -> Metrics:
    """Return how far the numbers of two files lie apart on the same images, and how many of their boxes match.

    Raises:
        CheckError: they lie further apart than the bounds allow.
    """
    images_NCHW, on = _images(before.spec, bounds.images, ctx)
    worst, largest, same, boxes = 0.0, 1.0, 0, 0
    for start in range(0, len(images_NCHW), _BATCH):
        part = images_NCHW[start : start + _BATCH]
        first, second = before.answers(part), after.answers(part)
        for one, other in zip(first, second, strict=True):
            worst = max(worst, float(np.abs(one - other).max()))
            largest = max(largest, float(np.abs(one).max()))
        for one_image, other_image in zip(
            boxes_of(*first, before.coding), boxes_of(*second, after.coding), strict=True
        ):
            same += 2 * matched(one_image, other_image)
            boxes += len(one_image) + len(other_image)
    allowed = _BOUND * largest if bounds.max_abs_logit_diff is None else bounds.max_abs_logit_diff
    agreement_pct = 100.0 * same / boxes if boxes else 100.0
    if worst > allowed or agreement_pct < bounds.min_agreement_pct:
        raise CheckError(
            f"{after.path}: its numbers differ by {worst:.3g} from those of {before.path}, allowed {allowed:.3g}, and "
            f"{agreement_pct:.2f} % of the boxes match, at least {bounds.min_agreement_pct:g} % wanted "
            f"(n = {len(images_NCHW)} {on})",
            hint="report it: the network holds an operator that is written wrongly",
        )
    return {
        "parity_max_abs_logit_diff": worst,
        "parity_agreement_pct": agreement_pct,
        "parity_images": len(images_NCHW),
        "parity_on": on,
    }


def _images(spec: ModelSpec, count: int, ctx: RunContext) -> tuple[parity.Floats, str]:
    """Return images_NCHW of the run, or noise where it has none to judge by."""
    pixels_NHWC = None
    if ctx.data is not None:
        pixels_NHWC = parity.images(ctx.data, spec.preprocess, count, ctx.seed, ctx.reporter, task="detect")
    if pixels_NHWC is None:
        return parity.noise(spec.input_chw, min(count, _BATCH), ctx.seed), "noise images"
    return normalize(pixels_NHWC, spec.preprocess), "images"
