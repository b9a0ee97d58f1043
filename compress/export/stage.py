"""The export stage: a model in, one checked ONNX or TFLite file out."""

from __future__ import annotations

from pathlib import Path

from compress.core.artifact import Artifact, Metrics, StageOutput
from compress.core.dataset import Task
from compress.core.formats import Format, Precision
from compress.core.spec import CALIBRATION_KEY, ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import write_bytes
from compress.errors import CheckError, ModelFileError, UsageError
from compress.export import checks, parity, tf_converter, tflite_checks
from compress.export.config import ExportConfig
from compress.export.detector import export_detector
from compress.export.source import Source, in_precision, read_source
from compress.graph.metadata import embed_spec as embed_in_onnx
from compress.graph.proto import opset_of
from compress.graph.target_check import check_target
from compress.graph.targets import TARGETS
from compress.lower.walk import CONVERTER_HINT, Lowered, lower
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from compress.runtime.tflite_meta import unpack
from compress.runtime.tflite_predictor import TflitePredictor

_ONNX_HINT = "change the model at that node; ONNX Runtime may run it as it is: `format: onnx`"
FILE_NAMES = {Format.ONNX: "model.onnx", Format.TFLITE: "model.tflite"}


def run(config: ExportConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Write the input model in the format and precision asked for, and check the written file."""
    artifact, path = inputs["from"], ctx.stage_dir / FILE_NAMES[config.produces]
    task: Task = artifact.spec.task if artifact.spec else "classify"
    return _OF_TASK[task](config, artifact, path, ctx)


def _export_classifier(config: ExportConfig, artifact: Artifact, path: Path, ctx: RunContext) -> StageOutput:
    if config.postprocess:
        raise UsageError(
            f"export: `postprocess` is for detectors, and '{artifact.stage_id}' ({artifact.path.name}) names images",
            hint="leave `postprocess` out",
        )
    source = read_source(artifact, config)
    precision = source.wanted
    if config.target is not None:
        check_target(source.model, TARGETS[config.target], str(source.artifact.path))
    if source.spec is None:
        ctx.reporter.warn(
            f"{source.artifact.path.name} says nothing of its labels and preprocessing: the exported file will not "
            "either (give `preprocess:`), and parity is measured on noise"
        )
    write = _write_onnx if config.produces is Format.ONNX else _write_tflite
    try:
        spec, metrics = write(config, source, precision, path, ctx)
        metrics |= {"precision": str(precision), **_parity(config, source, spec, precision, path, ctx)}
    except BaseException:
        path.unlink(missing_ok=True)  # a file that broke a check is not left where somebody may take it
        raise
    ctx.reporter.info(_summary(path, metrics))
    return StageOutput(file_name=path.name, format=config.produces, spec=spec, metrics=metrics)


_OF_TASK = {"classify": _export_classifier, "detect": export_detector}


def _summary(path: Path, metrics: Metrics) -> str:
    """Return what was made and how close it is, in one line."""
    steps = f" ({metrics['parity_max_lsb']:.1f} steps of its grid)" if "parity_max_lsb" in metrics else ""
    pieces = metrics.get("delegate_partitions")
    return (
        f"{path.name}: {metrics['precision']}, {path.stat().st_size / 1e6:.2f} MB, logits within "
        f"{metrics['parity_max_abs_logit_diff']:.3g}{steps} of the source, same answer on "
        f"{metrics['parity_agreement_pct']:.2f} % of {metrics['parity_images']} "
        f"{'images' if metrics['parity_on'] == 'images' else 'noise images'}"
        + (f", {metrics['parity_near_ties']} of the others near ties" if metrics["parity_near_ties"] else "")
        + ("" if pieces is None else f", {pieces} XNNPACK partition{'' if pieces == 1 else 's'}")
    )


def _write_onnx(
    _config: ExportConfig, source: Source, precision: Precision, path: Path, _ctx: RunContext
) -> tuple[ModelSpec | None, Metrics]:
    """Write and check the ONNX file."""
    model = in_precision(source.model, source.precision, precision)
    spec = _spec(source, precision, "NCHW")
    if spec is not None:
        embed_in_onnx(model, spec)
    checks.check_onnx(model, path, spec)
    write_bytes(path, model.SerializeToString())
    metrics: Metrics = {"opset": opset_of(model)}
    if precision is Precision.INT8:
        metrics |= checks.check_int8_onnx(model, path)
    return spec, metrics


def _write_tflite(
    config: ExportConfig, source: Source, precision: Precision, path: Path, ctx: RunContext
) -> tuple[ModelSpec | None, Metrics]:
    """Write and check the TFLite file."""
    lowered: Lowered | None = None
    half = precision is Precision.FP16
    if config.converter == "lower":
        lowered = _lowered(source, half=half)
        data = lowered.data
        for note in lowered.notes:
            ctx.reporter.warn(note)
    else:
        _refuse_int8(source)
        data = tf_converter.convert(source.model, half=half, select_tf_ops=config.select_tf_ops)
    spec = _spec(source, precision, "NHWC")
    if spec is not None:
        calibration = {one.key: one.value for one in source.model.metadata_props if one.key == CALIBRATION_KEY}
        data = embed_in_tflite(data, spec, calibration)
    model = unpack(data, str(path))
    builtins_only = config.converter == "lower"
    metrics = tflite_checks.check_tflite(model, path, builtins_only=builtins_only, select_tf_ops=config.select_tf_ops)
    if spec is not None:
        tflite_checks.check_interface(model, path, spec)
    if lowered is not None and precision is Precision.INT8:
        metrics |= tflite_checks.check_int8(model, path)
        if config.target is not None and TARGETS[config.target].integer_ends:
            tflite_checks.check_integers_only(model, path, config.target)
        metrics |= tflite_checks.check_lossless(model, path, source.model, lowered.grids, lowered.integers)
    write_bytes(path, data)
    return spec, metrics


def _lowered(source: Source, *, half: bool) -> Lowered:
    """Return the source as TFLite; what it cannot be lowered for is said with the file's name."""
    try:
        return lower(source.model, half=half)
    except CheckError as error:
        other = _ONNX_HINT if source.precision is Precision.INT8 else CONVERTER_HINT
        raise CheckError(f"{source.artifact.path}: {error.message}", hint=error.hint or other) from error


def _refuse_int8(source: Source) -> None:
    if source.precision in (Precision.INT8, Precision.DYNAMIC):
        raise ModelFileError(
            f"{source.artifact.path}: is {source.precision}, and `converter: tensorflow` drops quantization",
            hint="export it with `converter: lower`",
        )


def _spec(source: Source, precision: Precision, layout: str) -> ModelSpec | None:
    """Return the spec as the file will carry it."""
    if source.spec is None:
        return None
    return source.spec.model_copy(update={"precision": precision, "layout": layout, "layers": ()})


def _parity(
    config: ExportConfig, source: Source, spec: ModelSpec | None, precision: Precision, path: Path, ctx: RunContext
) -> Metrics:
    """Run source and exported file on the same images and hold the difference against the bounds."""
    bounds = config.parity
    pixels_NHWC = None
    if ctx.data is not None and spec is not None:
        pixels_NHWC = parity.images(ctx.data, spec.preprocess, bounds.images, ctx.seed, ctx.reporter)
    images = parity.noise(source.input_chw, bounds.images, ctx.seed) if pixels_NHWC is None else pixels_NHWC
    before = parity.opened(source.artifact.path, source.spec, source.input_chw)
    after = parity.opened(path, spec, source.input_chw)
    metrics: Metrics = {}
    if isinstance(after, TflitePredictor):
        metrics["delegate_partitions"] = after.delegate_partitions
    return metrics | checks.check_parity(
        parity.logits(before, images),
        parity.logits(after, images),
        path=path,
        precision=precision,
        max_abs_logit_diff=bounds.max_abs_logit_diff,
        min_agreement_pct=bounds.min_agreement_pct,
        images=pixels_NHWC is not None,
        output_scale=checks.output_scale(source.model) if precision is Precision.INT8 else None,
    )
