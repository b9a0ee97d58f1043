"""What the quantize stage starts from: the float model, the images, and what judges the result."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from compress.core.labels import labels_in
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.data.dataset import Dataset, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.engine.sets import require_same_labels
from compress.errors import UsageError
from compress.models.weights import IMAGENET
from compress.quantize.accuracy.box_reference import box_reference_of
from compress.quantize.accuracy.float_reference import reference_of
from compress.quantize.accuracy.reference import Reference
from compress.quantize.config import QuantizeConfig
from compress.quantize.ptq.calibration_images import CalibrationSet, from_folder, from_training
from compress.quantize.ptq.static import CalibrationImages
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.quantize.source import float_graph, graph_of_arch


@dataclass(frozen=True)
class QuantizeJob:
    """Everything a scheme works with.

    Attributes:
        config: the stage's options.
        model: the float model.
        spec: what it is.
        dataset: the labelled images, if there are any.
        chosen: the images to calibrate on; None where the scheme needs none.
        ctx: where to write, the seed, whom to tell.
    """

    config: QuantizeConfig
    model: onnx.ModelProto
    spec: ModelSpec
    dataset: Dataset | None
    chosen: CalibrationSet | None
    ctx: RunContext

    def calibration(self) -> CalibrationImages:
        """Return the images that ranges are found on."""
        assert self.chosen is not None, "static schemes have calibration images"
        return CalibrationImages(
            evaluation_pixels(self.chosen.images, self.spec.preprocess, self.ctx.reporter), self.spec.preprocess
        )

    def reference(self) -> Reference:
        """Return what files are judged by: labelled images where there are any, else some held out of calibration."""
        if self.dataset is not None:
            split, what = self.dataset.splits["val"], "validation images"
        else:
            assert self.chosen is not None, "without images there are calibration images"
            split, what = self.chosen.held_out or self.chosen.images, "held-out calibration images"
            if self.chosen.held_out is None:
                what = "calibration images (too few to hold any out)"
        graph, labelled = TorchGraph(self.model), self.dataset is not None
        if self.spec.boxes is not None:
            return box_reference_of(graph, split, self.spec, what, self.ctx.reporter, labelled=labelled)
        return reference_of(graph, split, self.spec.preprocess, what, self.ctx.reporter, labelled=labelled)


def read_float_model(config: QuantizeConfig, inputs: StageInputs, ctx: RunContext) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return the float model as ONNX, and what it is."""
    if config.arch is None:
        labels = labels_in(config.labels) if config.labels else None
        return float_graph(inputs["from"], config.preprocess, ctx.reporter, labels)
    return graph_of_arch(config.arch, config.weights or IMAGENET, config.input_px, config.preprocess, ctx.reporter)


def read_quantize_job(config: QuantizeConfig, model: onnx.ModelProto, spec: ModelSpec, ctx: RunContext) -> QuantizeJob:
    """Return the job of quantizing a float model, its images chosen."""
    dataset, spec = _images(spec, ctx)
    return QuantizeJob(config, model, spec, dataset, _calibration(config, dataset, spec, ctx), ctx)


def _images(spec: ModelSpec, ctx: RunContext) -> tuple[Dataset | None, ModelSpec]:
    """Return the labelled images, if there are any, and the spec, which takes their labels if it has none."""
    if ctx.data is None:
        return None, spec
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter, task=spec.task)
    if spec.arch == "foreign" and spec.num_classes == len(dataset.labels) and spec.labels != dataset.labels:
        ctx.reporter.warn("the model does not name its classes; they are taken for those of the images, by name")
        spec = spec.model_copy(update={"labels": dataset.labels})
    require_same_labels(spec.labels, dataset.labels, wanted_by="the model", found_in="the images")
    return dataset, spec


def _calibration(
    config: QuantizeConfig, dataset: Dataset | None, spec: ModelSpec, ctx: RunContext
) -> CalibrationSet | None:
    """Return the images to calibrate on, None where neither calibration nor judgement needs any."""
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
        raise UsageError("quantize needs images", hint="give --calibration FOLDER, or images with --data DIR")
    return None if config.scheme == "dynamic" else from_training(dataset, count, ctx.seed, preprocess, ctx.reporter)
