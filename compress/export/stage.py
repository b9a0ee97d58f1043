"""The export stage: a model in, one checked ONNX or TFLite file out."""

from __future__ import annotations

from pathlib import Path

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import write_bytes
from compress.errors import ModelFileError
from compress.export import checks, parity, tf_road, tflite_checks
from compress.export.config import ExportConfig
from compress.export.lower.walk import Lowered, lower
from compress.export.onnx_files import opset_of
from compress.export.source import Source, in_precision, read_source
from compress.models.onnx_meta import embed_spec as embed_in_onnx
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite

FILE_NAMES = {Format.ONNX: "model.onnx", Format.TFLITE: "model.tflite"}


def run(config: ExportConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Write the input model in the format and precision asked for, and check the written file."""
    source = read_source(inputs["from"], config)
    precision = source.wanted
    path = ctx.stage_dir / FILE_NAMES[config.produces]
    if source.spec is None:
        ctx.reporter.warn(
            f"{source.artifact.path.name} says nothing of its labels and preprocessing: the exported file will not "
            "either (give `preprocess:`), and parity is measured on noise"
        )
    write = _write_onnx if config.produces is Format.ONNX else _write_tflite
    spec, metrics = write(config, source, precision, path, ctx)
    metrics |= {"precision": str(precision), **_parity(config, source, spec, precision, path, ctx)}
    size_mb = path.stat().st_size / 1e6
    ctx.reporter.info(
        f"{path.name}: {precision}, {size_mb:.2f} MB, logits within {metrics['parity_max_abs_logit_diff']:.3g} of the "
        f"source, same answer on {metrics['parity_agreement_pct']:.2f} % of {metrics['parity_images']} "
        f"{'pictures' if metrics['parity_on'] == 'photographs' else 'noise images'}"
    )
    return StageOutput(file_name=path.name, format=config.produces, spec=spec, metrics=metrics)


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
    if config.road == "lower":
        lowered = lower(source.model, half=half)
        data = lowered.data
        for note in lowered.notes:
            ctx.reporter.warn(note)
    else:
        _refuse_int8(source)
        data = tf_road.convert(source.model, half=half, select_tf_ops=config.select_tf_ops)
    spec = _spec(source, precision, "NHWC")
    if spec is not None:
        data = embed_in_tflite(data, spec)
    builtins_only = config.road == "lower"
    metrics = tflite_checks.check_tflite(data, path, builtins_only=builtins_only, select_tf_ops=config.select_tf_ops)
    if spec is not None:
        tflite_checks.check_interface(data, path, spec)
    if lowered is not None and precision is Precision.INT8:
        metrics |= tflite_checks.check_int8(data, path)
        metrics |= tflite_checks.check_lossless(data, path, source.model, lowered.grids, lowered.integers)
    write_bytes(path, data)
    return spec, metrics


def _refuse_int8(source: Source) -> None:
    if source.precision in (Precision.INT8, Precision.DYNAMIC):
        raise ModelFileError(
            f"{source.artifact.path}: is {source.precision}, and `road: tensorflow` drops quantization",
            hint="export it with `road: lower`",
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
        pixels_NHWC = parity.photographs(ctx.data, spec.preprocess, bounds.images, ctx.seed, ctx.reporter)
    images = parity.noise(source.input_chw, bounds.images, ctx.seed) if pixels_NHWC is None else pixels_NHWC
    before = parity.opened(source.artifact.path, source.spec, source.input_chw)
    after = parity.opened(path, spec, source.input_chw)
    return checks.check_parity(
        parity.logits(before, images),
        parity.logits(after, images),
        path=path,
        precision=precision,
        max_abs_logit_diff=bounds.max_abs_logit_diff,
        min_agreement_pct=bounds.min_agreement_pct,
        photographs=pixels_NHWC is not None,
    )
