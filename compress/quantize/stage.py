"""The quantize stage: a float model in, one QDQ ONNX model out.

`stage_inputs` reads what it starts from, `stage_make` makes the int8 models, `stage_plan` chooses among several.
"""

from __future__ import annotations

from dataclasses import replace

import onnx

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format, Precision
from compress.core.stage import RunContext, StageInputs
from compress.engine.checkpoint import remove_checkpoint
from compress.errors import UsageError
from compress.graph.target_check import check_target
from compress.graph.targets import TARGETS
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.accuracy.float_reference import judge
from compress.quantize.accuracy.reference import Reference
from compress.quantize.config import QuantizeConfig
from compress.quantize.ptq.dynamic import quantize_dynamically
from compress.quantize.ptq.static import sketched
from compress.quantize.stage_inputs import QuantizeJob, read_float_model, read_quantize_job
from compress.quantize.stage_make import (
    FIT_DIR,
    Made,
    finished,
    float_names,
    make_qat,
    make_static,
    save,
    sensitivity_of,
    within_constraint,
)
from compress.quantize.stage_plan import make_planned

FILE_NAME = "model.onnx"


def run(config: QuantizeConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Quantize the input model by the scheme and judge the written file on images it was not calibrated on."""
    model, spec = read_float_model(config, inputs, ctx)
    _check_target(config, model)
    job = read_quantize_job(config, model, spec, ctx)
    if config.max_drop_pp is not None and job.dataset is None:
        hint = "give --data DIR, or bound the agreement with the float model: min_agreement_pct"
        raise UsageError("max_drop_pp is about accuracy, which needs images with labels", hint=hint)
    reference = job.reference()
    made, found = _make(job, reference)
    spec = save(job, made, ctx.stage_dir / FILE_NAME)
    metrics = (
        judge(ctx.stage_dir / FILE_NAME, reference, _remedies(job), ctx.reporter) | {"scheme": config.scheme} | found
    )
    remove_checkpoint(ctx.stage_dir / FIT_DIR)  # last, so that a kill until here loses no epoch
    return StageOutput(file_name=FILE_NAME, format=Format.ONNX, spec=spec, metrics=metrics)


def _make(job: QuantizeJob, reference: Reference) -> tuple[Made, Metrics]:
    """Return the model by the scheme, and what was found on the way."""
    config, constraint = job.config, AccuracyConstraint(job.config.max_drop_pp, job.config.min_agreement_pct)
    if config.scheme == "auto":
        return make_planned(job, reference, constraint)
    if config.scheme == "dynamic":
        return Made(quantize_dynamically(job.model), Precision.DYNAMIC), {}
    graph = make_qat(job) if config.scheme == "int8_qat" else make_static(job)
    metrics: Metrics = {}
    if config.sensitivity:
        worst = sensitivity_of(job, graph, reference).ranked[0]
        metrics |= {"worst_layer": worst.layer.name, "worst_layer_kl": worst.loss.kl}
    if constraint:
        graph, found = within_constraint(job, graph, reference, constraint)
        metrics |= found
    return finished(job, graph), metrics


def _remedies(job: QuantizeJob) -> list[str]:
    """Return what the user may do where the file is bad; what a bound already does is not told again."""
    config = job.config
    if config.scheme != "int8_static" or AccuracyConstraint(config.max_drop_pp, config.min_agreement_pct):
        return []
    floats = config.target is None or TARGETS[config.target].float_ops != frozenset()
    found = ["`min_agreement_pct: 95` leaves the layers float that cost most"] if floats else []
    return found + (["`scheme: int8_qat` trains"] if job.dataset is not None else [])


def _check_target(config: QuantizeConfig, model: onnx.ModelProto) -> None:
    """Check the nodes that quantizing will write against the target before any time is spent on their numbers."""
    if config.scheme == "auto" or config.target is None or config.scheme == "dynamic":
        return
    target = replace(TARGETS[config.target], activation_fixed=False)  # the config has seen to that
    check_target(sketched(model, config.hard_swish, float_names(model, config)), target, "the int8 model")
