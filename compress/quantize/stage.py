"""The quantize stage: a float model in, one QDQ ONNX model out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import torch

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.core.storage import atomic_path, write_json
from compress.data.calibration import calibration_split, manifest
from compress.data.dataset import Dataset, Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import normalize
from compress.engine.batches import ValSet
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.evaluate import top1_pct, torch_logits
from compress.engine.sets import require_same_labels, training_sets
from compress.errors import StageError
from compress.models.onnx_meta import embed_spec
from compress.quantize.calibrate import calibrate
from compress.quantize.config import QuantizeConfig
from compress.quantize.dynamic import quantize_dynamically
from compress.quantize.points import range_groups
from compress.quantize.qat import train_quantized
from compress.quantize.quant_graph import QuantGraph
from compress.quantize.source import float_graph
from compress.quantize.torch_graph import TorchGraph
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.predictor import open_predictor

FILE_NAME = "model.onnx"
FIT_DIR = "fit"
CALIBRATION_BATCH = 32


def run(config: QuantizeConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Quantize the input model by the scheme and judge the written file on the validation pictures."""
    model, spec = float_graph(inputs["from"])
    if ctx.data is None:
        raise StageError("quantize needs photographs", hint="add a `data:` block to the recipe or pass --data DIR")
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
    require_same_labels(spec.labels, dataset.labels, wanted_by="the model", found_in="the photographs")
    split = dataset.splits["val"]
    val = ValSet(evaluation_pixels(split, spec.preprocess, ctx.reporter), np.asarray(split.labels_N))
    float_NK = torch_logits(TorchGraph(model), val.pixels_NHWC, spec.preprocess)
    if config.scheme == "dynamic":
        made, precision = quantize_dynamically(model), Precision.DYNAMIC
    else:
        made, precision = _static(config, model, spec, dataset, ctx), Precision.INT8
    spec = spec.model_copy(update={"precision": precision})
    embed_spec(made, spec)
    with atomic_path(ctx.stage_dir / FILE_NAME) as temporary:
        onnx.save(made, temporary)
    metrics = _judge(val, float_NK, ctx)
    remove_checkpoint(ctx.stage_dir / FIT_DIR)  # last, so that a kill until here loses no epoch
    return StageOutput(file_name=FILE_NAME, format=Format.ONNX, spec=spec, metrics=metrics | {"scheme": config.scheme})


def _static(
    config: QuantizeConfig, model: onnx.ModelProto, spec: ModelSpec, dataset: Dataset, ctx: RunContext
) -> onnx.ModelProto:
    """Return the QDQ model with calibrated (int8_static) or learned (int8_qat) ranges."""
    pictures = calibration_split(dataset.splits["train"], config.calibration_count, ctx.seed, spec.num_classes)
    write_json(ctx.stage_dir / "calibration.json", manifest(pictures))
    groups = range_groups(model)
    ctx.reporter.info(f"calibrating {len(groups)} ranges on {len(pictures.paths)} pictures ({config.range_rule})")
    batches = _Batches(pictures, spec, ctx)
    grids = calibrate(TorchGraph(model), groups, batches, config.range_rule)
    quantized = QuantGraph(model, grids)
    if config.scheme == "int8_qat":
        train, val = training_sets(dataset, spec.preprocess, ctx.reporter)
        train_quantized(
            quantized,
            TorchGraph(model),
            train=train,
            val=val,
            num_classes=spec.num_classes,
            preprocess=spec.preprocess,
            options=config.fit,
            temperature=config.temperature,
            alpha=config.alpha,
            work_dir=ctx.stage_dir / FIT_DIR,
            seed=ctx.seed,
            device=ctx.device,
            reporter=ctx.reporter,
        )
    return quantized.to_qdq(model, config.activation)


class _Batches:
    """The calibration pictures as normalised batches, read again at every call."""

    def __init__(self, split: Split, spec: ModelSpec, ctx: RunContext) -> None:
        self._pixels_NHWC = evaluation_pixels(split, spec.preprocess, ctx.reporter)
        self._preprocess = spec.preprocess

    def __call__(self) -> Iterable[torch.Tensor]:
        for start in range(0, len(self._pixels_NHWC), CALIBRATION_BATCH):
            images_NCHW = normalize(self._pixels_NHWC[start : start + CALIBRATION_BATCH], self._preprocess)
            yield torch.from_numpy(images_NCHW).contiguous(memory_format=torch.channels_last)


def _judge(val: ValSet, float_NK: np.ndarray, ctx: RunContext) -> Metrics:
    """Return the accuracy of the written file, which is what will be shipped."""
    predictor = open_predictor(ctx.stage_dir / FILE_NAME)
    judged = evaluate(predictor, val.pixels_NHWC, val.labels_N.tolist(), ctx.reporter)
    before = top1_pct(float_NK, val.labels_N)
    metrics: Metrics = {
        "top1_pct": judged.top1_pct,
        "float_top1_pct": before,
        "agreement_pct": agreement_pct(float_NK, judged.logits_NK),
    }
    ctx.reporter.info(
        f"the file: val top-1 {judged.top1_pct:.2f} % (float {before:.2f} %), "
        f"same answer on {metrics['agreement_pct']:.2f} % of {judged.n_images}"
    )
    return metrics
