"""Calling a stage: its entry point is imported only now, since it may need a backend."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module

from compress.core.artifact import StageOutput
from compress.core.stage import RunContext, StageConfig, StageInputs


def call_stage(config: StageConfig, inputs: StageInputs, context: RunContext) -> StageOutput:
    """Return what the stage says it made."""
    module, function = config.entry_point.split(":")
    run = getattr(import_module(module), function)
    with _algorithms(context):
        output: StageOutput = run(config, inputs, context)
    return output


def _algorithms(context: RunContext) -> AbstractContextManager[None]:
    if not context.deterministic:
        return nullcontext()
    from compress.engine.determinism import deterministic_algorithms

    return deterministic_algorithms()
