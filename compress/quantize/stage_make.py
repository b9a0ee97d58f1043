"""How the quantize stage makes int8 models: calibrated, trained, and with the worst layers left float."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx

from compress.charts.files import write_bars
from compress.core.artifact import Metrics
from compress.core.formats import Precision
from compress.core.spec import ModelSpec
from compress.core.storage import atomic_path, write_json
from compress.data.dataset import Dataset
from compress.data.transforms import normalize
from compress.engine.detection.losses import teacher_box_loss
from compress.engine.detection.setup import detect_setup
from compress.engine.losses import Loss
from compress.engine.setup import Setup, fit_setup
from compress.errors import StageError, UsageError
from compress.graph.metadata import embed_spec
from compress.graph.targets import TARGETS
from compress.measure.latency import Timing, measure_latency
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.accuracy.mixed_precision import float_worst
from compress.quantize.accuracy.reference import Reference
from compress.quantize.accuracy.sensitivity import MAX_IMAGES, LayerSensitivity, measure_sensitivity
from compress.quantize.config import QuantizeConfig
from compress.quantize.ptq.calibration_images import embed_calibration, write_manifest
from compress.quantize.ptq.reconstruct import Reconstruction
from compress.quantize.ptq.static import CalibrationImages, StaticGraph, StaticOptions, quantize_statically, spread
from compress.quantize.qat import classes_loss, train_quantized
from compress.quantize.qdq.layers import layers_of, light_enough
from compress.quantize.qdq.quantizer_setup import matching_nodes, swish_stem
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.quantize.stage_inputs import QuantizeJob

FIT_DIR = "fit"
SENSITIVITY_NAME = "sensitivity"
TIMING = Timing(warmup=5, repeats=200, budget_s=2.0)
_SHARE_OF_STEPS = 3  # an attempt of the loop reconstructs in a third of the steps, what is chosen in all of them


@dataclass(frozen=True)
class Made:
    """A model that the stage may ship.

    Attributes:
        model: ONNX.
        precision: of it.
        rewrites: those it took since the float model.
        graph: the rounded graph that it was written from, if any.
    """

    model: onnx.ModelProto
    precision: Precision
    rewrites: tuple[str, ...] = ()
    graph: StaticGraph | None = None


def float_names(model: onnx.ModelProto, config: QuantizeConfig) -> tuple[str, ...]:
    """Return the names of the nodes that the config leaves float: excluded ones, and those of a float stem."""
    excluded = matching_nodes(model, config.exclude)
    return (*excluded, *(swish_stem(model) if config.stem == "float" else ()))


def make_static(job: QuantizeJob, *, floats: tuple[str, ...] = (), steps: int | None = None) -> StaticGraph:
    """Return the model with calibrated ranges; `floats` adds to the config's, `steps` takes the place of its."""
    config = job.config
    options = StaticOptions(
        rule=config.range_rule,
        percentile=config.percentile,
        hard_swish=config.hard_swish,
        floats=tuple(dict.fromkeys((*float_names(job.model, config), *floats))),
        correct_biases=config.correct_biases,
        reconstruction=Reconstruction(
            steps=config.reconstruct.steps if steps is None else steps,
            batch_size=config.reconstruct.batch_size,
            lr=config.reconstruct.lr,
            lr_scale=config.reconstruct.lr_scale,
        ),
        coding=job.spec.boxes,
    )
    return quantize_statically(job.model, job.calibration(), options, seed=job.ctx.seed, reporter=job.ctx.reporter)


def make_qat(job: QuantizeJob) -> StaticGraph:
    """Return the model with learned ranges and weights; training starts where reconstruction ends."""
    if job.dataset is None:
        raise UsageError("int8_qat trains, which needs images", hint="give --data DIR, or use int8_static")
    made = make_static(job)
    setup, loss = _learning(job, job.dataset, made.teacher)
    train_quantized(made.quantized, setup, loss, freeze_ranges_at=job.config.freeze_ranges_at)
    return made


def _learning(job: QuantizeJob, dataset: Dataset, teacher: TorchGraph) -> tuple[Setup, Loss]:
    """Return what the rounded graph is trained on and judged by, and its loss: the float graph teaches."""
    config, spec = job.config, job.spec
    teacher.to(job.ctx.device).eval().requires_grad_(False)
    if spec.boxes is not None:
        boxes = detect_setup(dataset, spec, config.fit, config.detect, job.ctx, FIT_DIR)
        return boxes, teacher_box_loss(
            teacher, spec.boxes, config.detect, temperature=config.temperature, alpha=config.alpha
        )
    setup = fit_setup(dataset, spec, config.fit, job.ctx, FIT_DIR)
    smoothing = config.fit.label_smoothing
    return setup, classes_loss(teacher, temperature=config.temperature, alpha=config.alpha, label_smoothing=smoothing)


def finished(job: QuantizeJob, graph: StaticGraph) -> Made:
    """Return a rounded graph as the QDQ model."""
    return Made(graph.to_qdq(job.config.activation), Precision.INT8, graph.rewrites, graph)


def save(job: QuantizeJob, made: Made, path: Path) -> ModelSpec:
    """Write a model with its spec and, where it is calibrated, its images' hashes; return the spec."""
    rewrites = tuple(dict.fromkeys((*job.spec.rewrites, *made.rewrites)))
    spec = job.spec.model_copy(update={"precision": made.precision, "rewrites": rewrites})
    if made.precision is Precision.INT8 and job.chosen is not None:
        embed_calibration(made.model, write_manifest(job.chosen, path.parent))
    embed_spec(made.model, spec)
    with atomic_path(path) as temporary:
        onnx.save(made.model, temporary)
    return spec


def sensitivity_of(job: QuantizeJob, graph: StaticGraph, reference: Reference) -> LayerSensitivity:
    """Return what each layer costs, and write it as `sensitivity.json` and, where it can be drawn, `.svg`."""
    floats = set(float_names(job.model, job.config))
    layers = [layer for layer in layers_of(job.model) if not floats.intersection(layer.nodes)]
    part = reference.on(spread(len(reference.pixels_NHWC), MAX_IMAGES).tolist())
    images = CalibrationImages(part.pixels_NHWC, job.spec.preprocess)
    found = measure_sensitivity(graph.model, graph.calibrated, layers, list(images.batches()), part, job.ctx.reporter)
    folder = job.ctx.stage_dir
    write_json(folder / f"{SENSITIVITY_NAME}.json", found.as_json())
    bars = [(f"{one.layer.name} ({one.layer.ops})", one.loss.kl, f"{one.loss.kl:.2g}") for one in found.ranked]
    title = f"KL of the answers with one layer int8, in nats (n = {found.images} {reference.what})"
    write_bars(folder / f"{SENSITIVITY_NAME}.svg", title, bars, job.ctx.reporter)
    return found


def within_constraint(
    job: QuantizeJob, graph: StaticGraph, reference: Reference, constraint: AccuracyConstraint
) -> tuple[StaticGraph, Metrics]:
    """Return the graph if it keeps the constraint, else one with the worst layers float, and what that costs.

    Raises:
        StageError: it cannot be kept.
    """
    reporter = job.ctx.reporter
    with scratch(job, "tries") as folder:
        save(job, finished(job, graph), folder / "full.onnx")
        full = reference.measure(folder / "full.onnx", reporter)
        reporter.info(f"all int8: {reference.told(full)}")
        if not constraint.broken_by(full):
            return graph, {"float_layers": 0}
        _refuse_where_floats_are(job, constraint, full)
        reporter.info(
            f"all int8 breaks the constraint: {constraint.broken_by(full)}; looking for the layers that cost most"
        )
        ranked = light_enough([one.layer for one in sensitivity_of(job, graph, reference).ranked], job.model)
        mixed = graph

        def attempt(floats: tuple[str, ...], share: int = _SHARE_OF_STEPS) -> Metrics:
            nonlocal mixed
            mixed = make_static(job, floats=floats, steps=math.ceil(job.config.reconstruct.steps / share))
            save(job, finished(job, mixed), folder / "mixed.onnx")
            return reference.measure(folder / "mixed.onnx", reporter)

        chosen, _ = float_worst(ranked, attempt, constraint, full, reporter)
        if job.config.reconstruct.steps > 1:
            tried = mixed
            if constraint.broken_by(attempt(tuple(name for layer in chosen for name in layer.nodes), share=1)):
                mixed = tried
                save(job, finished(job, mixed), folder / "mixed.onnx")
        costs = _cost(job, folder, reference)
    names = ", ".join(layer.name for layer in chosen)
    reporter.info(
        f"{len(chosen)} of {len(ranked)} layers stay float: {names}\n  ONNX Runtime p50 on this host: all int8 "
        f"{costs['full_int8_p50_ms']:.3f} ms, mixed {costs['mixed_p50_ms']:.3f} ms"
    )
    return mixed, {"float_layers": len(chosen), "float_layer_names": names, **costs}


def _refuse_where_floats_are(job: QuantizeJob, constraint: AccuracyConstraint, full: Metrics) -> None:
    target = job.config.target
    if target is not None and TARGETS[target].float_ops == frozenset():
        raise StageError(
            f"the constraint ({constraint}) does not hold: {constraint.broken_by(full)}; target {target} allows no "
            "float layer",
            hint="allow more, give more calibration images, or train: `scheme: int8_qat`",
        )


@contextmanager
def scratch(job: QuantizeJob, name: str) -> Iterator[Path]:
    """Give an empty folder for models to compare, and remove it; one that a kill left behind is emptied."""
    folder = job.ctx.stage_dir / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cost(job: QuantizeJob, folder: Path, reference: Reference) -> Metrics:
    """Return the milliseconds of both files, measured in turns."""
    files = {name: reference.opened(folder / f"{name}.onnx") for name in ("full", "mixed")}
    image = normalize(reference.pixels_NHWC[:1], job.spec.preprocess)
    found = measure_latency(files, dict.fromkeys(files, image), TIMING, job.ctx.reporter)
    return {"full_int8_p50_ms": found["full"].p50_ms, "mixed_p50_ms": found["mixed"].p50_ms}
