"""Calling a stage: its entry point is imported only now, since it may need a backend."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from pydantic import TypeAdapter

from compress.core.artifact import StageOutput
from compress.core.stage import RunContext, StageConfig, StageInputs
from compress.distributed.distributed_run import StageOrder
from compress.recipe.schema import AnyStage


def call_stage(config: StageConfig, inputs: StageInputs, context: RunContext) -> StageOutput:
    """Return what the stage says it made."""
    module, function = config.entry_point.split(":")
    run = getattr(import_module(module), function)
    with _algorithms(context):
        output: StageOutput = run(config, inputs, context)
    return output


def run_ordered(order: StageOrder, context: RunContext) -> None:
    """Run a stage as process 0 of a distributed run describes it; what it makes is of no use here."""
    config: StageConfig = TypeAdapter[StageConfig](AnyStage).validate_python(order.config)
    call_stage(config, order.inputs, context)


def _algorithms(context: RunContext) -> AbstractContextManager[None]:
    if not context.deterministic:
        return nullcontext()
    from compress.engine.determinism import deterministic_algorithms

    return deterministic_algorithms()
