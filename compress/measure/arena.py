"""How much memory the tensors of a TFLite file need while it runs: the least that a microcontroller's arena holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def arena_bytes(path: Path) -> int:
    """Return the most bytes of tensors that live at once: made by an operator, or the input, and still to be read.

    Weights are not counted: they stay in flash. An interpreter needs some more, for its tables and for gaps.

    Args:
        path: a .tflite file; its first graph is counted.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=plain)
    sizes = {int(one["index"]): _bytes_of(one) for one in interpreter.get_tensor_details()}
    inputs = {int(one["index"]) for one in interpreter.get_input_details()}
    outputs = {int(one["index"]) for one in interpreter.get_output_details()}
    operators = interpreter._get_ops_details()
    last = {int(tensor): at for at, operator in enumerate(operators) for tensor in operator["inputs"]}
    last |= dict.fromkeys(outputs, len(operators))
    alive, most = set(inputs), 0
    for at, operator in enumerate(operators):
        alive |= {int(tensor) for tensor in operator["outputs"]}
        most = max(most, sum(sizes[tensor] for tensor in alive))
        alive = {tensor for tensor in alive if last.get(tensor, at) > at}
    return most


def _bytes_of(tensor: dict[str, Any]) -> int:
    return int(np.prod(tensor["shape"], dtype=np.int64)) * int(np.dtype(tensor["dtype"]).itemsize)
