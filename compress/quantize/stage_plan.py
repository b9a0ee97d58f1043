"""`scheme: auto`: make every candidate, measure its file on this host, keep the best."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import onnx

from compress.core.artifact import Metrics
from compress.core.formats import Format, Precision
from compress.core.storage import write_json
from compress.data.transforms import normalize
from compress.errors import CheckError, StageError
from compress.graph.operators import HARD_SWISH
from compress.graph.target_check import check_target
from compress.graph.targets import TARGETS, HardSwishMode, Stem, Target
from compress.lower.walk import lower
from compress.measure.latency import measure_latency
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.accuracy.reference import OpenedFile, Reference
from compress.quantize.plan import Candidate, choose
from compress.quantize.ptq.dynamic import quantize_dynamically
from compress.quantize.ptq.rewrites import early_hard_swishes, hard_swishes
from compress.quantize.qdq.quantizer_setup import swish_stem
from compress.quantize.stage_inputs import QuantizeJob
from compress.quantize.stage_make import TIMING, Made, finished, make_static, save, scratch, within_constraint
from compress.runtime.host import host
from compress.runtime.tflite_meta import embed_spec

PLAN_NAME = "plan.json"
DEFAULT_BOUND = {
    True: AccuracyConstraint(1.0, None),
    False: AccuracyConstraint(None, 95.0),
}  # by whether there are labels
_FP32 = "fp32"


@dataclass(frozen=True)
class Mode:
    """A way to make the network int8; the fields are options of the config."""

    hard_swish: HardSwishMode
    stem: Stem


@dataclass(frozen=True)
class _Tried:
    """A candidate whose file is there: not yet timed."""

    name: str
    made: Made
    opened: OpenedFile
    metrics: Metrics
    refused: str


def make_planned(job: QuantizeJob, reference: Reference, constraint: AccuracyConstraint) -> tuple[Made, Metrics]:
    """Return the best candidate and what was measured; the whole table is written as `plan.json`.

    Raises:
        StageError: no candidate keeps the constraint.
    """
    assert job.config.target is not None, "the config gives scheme auto a target"
    target, constraint = TARGETS[job.config.target], constraint or DEFAULT_BOUND[reference.is_labelled]
    if platform.machine().lower() not in target.machines:
        job.ctx.reporter.warn(f"this host ({platform.machine()}) is not a {target.name}: its milliseconds may mislead")
    with scratch(job, "candidates") as folder:
        found = [_tried(job, name, made, reference, constraint, target, folder) for name, made in _makers(job, target)]
        if all(one.refused or one.made.precision is Precision.FP32 for one in found):
            found += _mixed(job, found, reference, constraint, target, folder)
        candidates = _timed(job, found, reference)
        best, why = choose(candidates, constraint)
    report = {"target": target.name, "bound": str(constraint), "judged_on": reference.what, "host": host()}
    rows = [candidate.as_json() for candidate in candidates]
    write_json(job.ctx.stage_dir / PLAN_NAME, {**report, "candidates": rows, "chosen": best.name, "why": why})
    job.ctx.reporter.info(f"chosen: {why}")
    made = next(one.made for one in found if one.name == best.name)
    return made, {"chosen": best.name, "p50_ms": best.p50_ms, "fp32_p50_ms": _fp32_ms(candidates)}


def _fp32_ms(candidates: list[Candidate]) -> float | None:
    return next((candidate.p50_ms for candidate in candidates if candidate.name == _FP32), None)


def _makers(job: QuantizeJob, target: Target) -> Iterator[tuple[str, Callable[[], Made]]]:
    """Yield names and makers of the candidates that the target can run."""
    if not target.integer_ends:
        yield _FP32, lambda: Made(job.model, Precision.FP32)
    for name, mode in modes_of(job.model, target):
        yield name, partial(_made_in, job, mode)
    if target.runs is Format.ONNX:
        yield "dynamic (int8 weights)", lambda: Made(quantize_dynamically(job.model), Precision.DYNAMIC)


def _made_in(job: QuantizeJob, mode: Mode) -> Made:
    return finished(job, make_static(replace(job, config=job.config.model_copy(update=asdict(mode)))))


def modes_of(model: onnx.ModelProto, target: Target) -> list[tuple[str, Mode]]:
    """Return names and ways to compute stem and hard-swish that the target allows; one where there is none."""
    floats = target.float_ops
    stem: Stem = "int8" if floats == frozenset() else "float"
    if not hard_swishes(model):
        return [("int8", Mode(target.hard_swish, stem))]
    modes: list[tuple[str, Mode]] = []
    if floats is None or HARD_SWISH in floats:
        modes.append(("int8, hard-swish float", Mode("float", stem)))
    if stem == "float":
        modes.append(("int8, hard-swish gate", Mode("gate", stem)))
    if stem == "int8" or swish_stem(model):
        modes.append(("int8 everywhere", Mode("gate", "int8")))
    modes.append(("int8, all hard-swish ReLU6", Mode("relu6", "int8")))
    if early_hard_swishes(model):
        modes.append(("int8, early hard-swish ReLU6", Mode("relu6_early", "int8")))
    return modes


def _tried(
    job: QuantizeJob,
    name: str,
    make: Callable[[], Made],
    reference: Reference,
    constraint: AccuracyConstraint,
    target: Target,
    folder: Path,
) -> _Tried:
    """Make a candidate, write its file for the target and judge that."""
    job.ctx.reporter.info(f"candidate: {name}")
    made = make()
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    spec = save(job, made, path)
    refused = ""
    if made.precision is Precision.INT8:
        refused = _outside(made.model, target)
    if target.runs is Format.TFLITE:
        path = path.with_suffix(".tflite")
        described = spec.model_copy(update={"layout": "NHWC", "layers": ()})
        path.write_bytes(embed_spec(lower(made.model).data, described))
    metrics = reference.measure(path, job.ctx.reporter)
    return _Tried(name, made, reference.opened(path), metrics, refused or constraint.broken_by(metrics))


def _outside(model: onnx.ModelProto, target: Target) -> str:
    try:
        check_target(model, replace(target, activation_fixed=False), "it")
    except CheckError as error:
        return error.message
    return ""


def _mixed(
    job: QuantizeJob,
    found: list[_Tried],
    reference: Reference,
    constraint: AccuracyConstraint,
    target: Target,
    folder: Path,
) -> list[_Tried]:
    """Return the candidate whose worst layers are float, or none where even that breaks the constraint.

    It starts from the candidate that is the config's, which the modes have been through unless the user asked for
    another.
    """
    wanted = Mode(job.config.hard_swish, job.config.stem)
    names = [name for name, mode in modes_of(job.model, target) if mode == wanted]
    graph = next((one.made.graph for one in found if one.name in names), None) or make_static(job)
    try:
        graph, _ = within_constraint(job, graph, reference, constraint)
    except StageError as error:
        job.ctx.reporter.info(error.message)
        return []
    return [
        _tried(job, "int8, worst layers float", lambda: finished(job, graph), reference, constraint, target, folder)
    ]


def _timed(job: QuantizeJob, found: list[_Tried], reference: Reference) -> list[Candidate]:
    """Return the candidates with their times, measured in turns."""
    image = normalize(reference.pixels_NHWC[:1], job.spec.preprocess)
    predictors = {one.name: one.opened for one in found}
    times = measure_latency(predictors, dict.fromkeys(predictors, image), TIMING, job.ctx.reporter)
    return [
        Candidate(
            name=one.name,
            metrics=one.metrics,
            p50_ms=times[one.name].p50_ms,
            size_bytes=one.opened.path.stat().st_size,
            partitions=getattr(one.opened, "delegate_partitions", None),
            refused=one.refused,
        )
        for one in found
    ]
