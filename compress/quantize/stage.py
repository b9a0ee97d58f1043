"""The quantize stage: a float model in, one QDQ ONNX model out."""

from __future__ import annotations

from dataclasses import replace

import onnx

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import atomic_path
from compress.core.targets import TARGETS
from compress.data.dataset import Dataset, Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.sets import require_same_labels, training_sets
from compress.errors import UsageError
from compress.models.onnx_meta import embed_spec
from compress.models.onnx_target import check_target
from compress.models.weights import IMAGENET
from compress.quantize.config import QuantizeConfig
from compress.quantize.dynamic import quantize_dynamically
from compress.quantize.judge import judge
from compress.quantize.pictures import CalibrationSet, embed_calibration, from_folder, from_training, write_manifest
from compress.quantize.points import matching_nodes
from compress.quantize.qat import train_quantized
from compress.quantize.reconstruct import Reconstruction
from compress.quantize.source import float_graph, graph_of_arch
from compress.quantize.static import Pictures, StaticOptions, quantize_statically, sketched
from compress.quantize.torch_graph import TorchGraph

FILE_NAME = "model.onnx"
FIT_DIR = "fit"


def run(config: QuantizeConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Quantize the input model by the scheme and judge the written file on pictures it was not calibrated on."""
    model, spec = _float_model(config, inputs, ctx)
    _check_target(config, model)
    dataset, spec = _photographs(spec, ctx)
    chosen = _calibration(config, dataset, spec, ctx)
    if config.scheme == "dynamic":
        made, precision = quantize_dynamically(model), Precision.DYNAMIC
    else:
        assert chosen is not None, "static schemes have calibration pictures"
        made, rewrites = _static(config, model, spec, chosen.pictures, dataset, ctx)
        precision = Precision.INT8
        embed_calibration(made, write_manifest(chosen, ctx.stage_dir))
        spec = spec.model_copy(update={"rewrites": (*spec.rewrites, *rewrites)})
    spec = spec.model_copy(update={"precision": precision})
    embed_spec(made, spec)
    with atomic_path(ctx.stage_dir / FILE_NAME) as temporary:
        onnx.save(made, temporary)
    metrics = _judge(TorchGraph(model), dataset, chosen, ctx)
    remove_checkpoint(ctx.stage_dir / FIT_DIR)  # last, so that a kill until here loses no epoch
    return StageOutput(file_name=FILE_NAME, format=Format.ONNX, spec=spec, metrics=metrics | {"scheme": config.scheme})


def _check_target(config: QuantizeConfig, model: onnx.ModelProto) -> None:
    """Check the nodes that quantizing will write against the target before any time is spent on their numbers."""
    if config.target is None or config.scheme == "dynamic":
        return
    target = replace(TARGETS[config.target], activation_fixed=False)  # the config has seen to that
    check_target(sketched(model, config.hard_swish, matching_nodes(model, config.exclude)), target, "the int8 model")


def _float_model(config: QuantizeConfig, inputs: StageInputs, ctx: RunContext) -> tuple[onnx.ModelProto, ModelSpec]:
    if config.arch is None:
        return float_graph(inputs["from"], config.preprocess, ctx.reporter)
    return graph_of_arch(config.arch, config.weights or IMAGENET, config.input_px, config.preprocess, ctx.reporter)


def _photographs(spec: ModelSpec, ctx: RunContext) -> tuple[Dataset | None, ModelSpec]:
    """Return the labelled photographs, if there are any, and the spec, which takes their labels if it has none."""
    if ctx.data is None:
        return None, spec
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
    if spec.arch == "foreign" and spec.num_classes == len(dataset.labels) and spec.labels != dataset.labels:
        ctx.reporter.warn("the model does not name its classes; they are taken for those of the photographs, by name")
        spec = spec.model_copy(update={"labels": dataset.labels})
    require_same_labels(spec.labels, dataset.labels, wanted_by="the model", found_in="the photographs")
    return dataset, spec


def _calibration(
    config: QuantizeConfig, dataset: Dataset | None, spec: ModelSpec, ctx: RunContext
) -> CalibrationSet | None:
    """Return the pictures to calibrate on, None where neither calibration nor judgement needs any."""
    count, preprocess = config.calibration_count, spec.preprocess
    if config.calibration is not None:
        return from_folder(
            config.calibration,
            dataset,
            count=count,
            seed=ctx.seed,
            on_bad=config.on_bad_image,
            preprocess=preprocess,
            reporter=ctx.reporter,
        )
    if dataset is None:
        raise UsageError("quantize needs pictures", hint="give --calibration FOLDER, or photographs with --data DIR")
    return None if config.scheme == "dynamic" else from_training(dataset, count, ctx.seed, preprocess, ctx.reporter)


def _static(
    config: QuantizeConfig,
    model: onnx.ModelProto,
    spec: ModelSpec,
    pictures: Split,
    dataset: Dataset | None,
    ctx: RunContext,
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Return the QDQ model with calibrated (int8_static) or learned (int8_qat) ranges, and the rewrites it took."""
    calibration = Pictures(evaluation_pixels(pictures, spec.preprocess, ctx.reporter), spec.preprocess)
    made = quantize_statically(model, calibration, _static_options(config, model), seed=ctx.seed, reporter=ctx.reporter)
    if config.scheme == "int8_qat":
        if dataset is None:
            raise UsageError("int8_qat trains, which needs photographs", hint="give --data DIR, or use int8_static")
        train, val = training_sets(dataset, spec.preprocess, ctx.reporter)
        train_quantized(
            made.quantized,
            TorchGraph(made.model),
            train=train,
            val=val,
            num_classes=spec.num_classes,
            preprocess=spec.preprocess,
            options=config.fit,
            temperature=config.temperature,
            alpha=config.alpha,
            freeze_ranges_at=config.freeze_ranges_at,
            work_dir=ctx.stage_dir / FIT_DIR,
            seed=ctx.seed,
            device=ctx.device,
            reporter=ctx.reporter,
        )
    return made.to_qdq(config.activation), made.rewrites


def _static_options(config: QuantizeConfig, model: onnx.ModelProto) -> StaticOptions:
    """Return the options of the algorithm; training needs no reconstruction before it."""
    trains = config.scheme == "int8_qat"
    return StaticOptions(
        rule=config.range_rule,
        percentile=config.percentile,
        hard_swish=config.hard_swish,
        floats=matching_nodes(model, config.exclude),
        correct_biases=config.correct_biases and not trains,
        reconstruction=Reconstruction(
            steps=0 if trains else config.reconstruct.steps,
            batch_size=config.reconstruct.batch_size,
            lr=config.reconstruct.lr,
            lr_scale=config.reconstruct.lr_scale,
        ),
    )


def _judge(graph: TorchGraph, dataset: Dataset | None, chosen: CalibrationSet | None, ctx: RunContext) -> Metrics:
    """Judge the written file on labelled pictures where there are any, else on pictures held out of calibration."""
    if dataset is not None:
        split, what = dataset.splits["val"], "validation pictures"
    else:
        assert chosen is not None, "without photographs there are calibration pictures"
        split, what = chosen.held_out or chosen.pictures, "held-out calibration pictures"
        if chosen.held_out is None:
            what = "calibration pictures (too few to hold any out)"
    return judge(ctx.stage_dir / FILE_NAME, graph, split, what, ctx.reporter, labelled=dataset is not None)
