"""What each operator of a TFLite file takes, from pieces of the graph: LiteRT's Python package has no profiler."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from compress.measure.op_cost import CALLS, WARMUP, OpCost
from compress.runtime.tflite_predictor import DELEGATE_OP, Interpreter, OpDetail

_NS_PER_MS = 1e6


def profile_tflite(path: Path, threads: int) -> tuple[OpCost, ...]:
    """Return the time of each operator: by how much the graph that ends behind it is slower than the one before it.

    Both pieces are called in turns and the median of the differences is taken; what comes out below zero is noise and
    counts as zero. A piece gives out every tensor that the rest of the graph still needs, so that nothing is left out.

    Args:
        path: the file; its first graph is measured, on zeros.
        threads: threads one call may use.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    operators = model.subgraphs[0].operators
    delegated = _delegated(_interpreter(path.read_bytes(), threads)._get_ops_details())
    costs = []
    shorter = None
    for index, operator in enumerate(operators):
        piece = flatbuffer_utils.convert_object_to_bytearray(_cut(model, index))
        longer = _interpreter(bytes(piece), threads)
        tensor = model.subgraphs[0].tensors[operator.outputs[0]].name.decode("utf-8", "replace")
        op = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) or "CUSTOM"
        costs.append(OpCost(tensor, op, max(0.0, _difference_ms(longer, shorter)), index in delegated))
        shorter = longer
    return tuple(costs)


def _interpreter(content: bytes, threads: int) -> Interpreter:
    from ai_edge_litert.interpreter import Interpreter as LiteRtInterpreter

    interpreter: Interpreter = LiteRtInterpreter(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    return interpreter


def _cut(model: Any, last: int) -> Any:  # noqa: ANN401
    """Return the model with the operators up to `last`, giving out what the others would have needed."""
    piece, graph = copy.copy(model), copy.copy(model.subgraphs[0])
    kept, rest = graph.operators[: last + 1], graph.operators[last + 1 :]
    made = [tensor for operator in kept for tensor in operator.outputs]
    wanted = {tensor for operator in rest for tensor in operator.inputs} | set(graph.outputs)
    graph.operators = kept
    graph.outputs = np.asarray([tensor for tensor in made if tensor in wanted], np.int32)
    piece.subgraphs = [graph]
    piece.signatureDefs = []  # they name tensors that are no longer given out
    return piece


def _difference_ms(longer: Interpreter, shorter: Interpreter | None) -> float:
    for _ in range(WARMUP):
        longer.invoke()
    differences_ns = []
    for _ in range(CALLS):
        before_ns = _call_ns(shorter) if shorter is not None else 0
        differences_ns.append(_call_ns(longer) - before_ns)
    return float(np.median(differences_ns)) / _NS_PER_MS


def _call_ns(interpreter: Interpreter) -> int:
    start = perf_counter_ns()
    interpreter.invoke()
    return perf_counter_ns() - start


def _delegated(operators: Sequence[OpDetail]) -> set[int]:
    """Return the indices of the operators that a delegate took: those between its inputs and its outputs."""
    own = [operator for operator in operators if operator["op_name"] != DELEGATE_OP]
    maker = {int(tensor): at for at, operator in enumerate(own) for tensor in operator["outputs"]}
    inside: set[int] = set()
    for delegate in (operator for operator in operators if operator["op_name"] == DELEGATE_OP):
        given = {int(tensor) for tensor in delegate["inputs"]}
        waiting = [int(tensor) for tensor in delegate["outputs"]]
        while waiting:
            tensor = waiting.pop()
            at = maker.get(tensor)
            if tensor not in given and at is not None and at not in inside:
                inside.add(at)
                waiting += [int(needed) for needed in own[at]["inputs"]]
    return inside
