"""The bounds of Relu and Clip, however a graph gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto

from compress.errors import CheckError, ImgcError
from compress.graph.operators import RELU
from compress.graph.proto import Array, attributes_of

Bound = float | None


def bounds_of(
    op_type: str,
    inputs: Sequence[str],
    attributes: Mapping[str, Any],
    constant: Callable[[str], Array | None],
    fail: Callable[[str], ImgcError],
) -> tuple[Bound, Bound]:
    """Return (least, greatest) of a Relu or Clip; None where open, as an infinite bound is.

    Args:
        op_type: Relu or Clip.
        inputs: of the node; bounds stand at 1 and 2 since opset 11.
        attributes: of the node; bounds were `min` and `max` before.
        constant: returns a constant by name, None for what is computed.
        fail: returns the error for what was found.

    Raises:
        ImgcError: a bound is computed.
    """
    if op_type == RELU:
        return 0.0, None

    def bound(place: int, attribute: str) -> Bound:
        name = inputs[place] if len(inputs) > place else ""
        array = constant(name) if name else None
        if name and array is None:
            raise fail(f"its bound '{name}' is computed; only constants are allowed")
        number = float(array.reshape(-1)[0]) if array is not None else attributes.get(attribute)
        return None if number is None or abs(number) >= float(np.finfo(np.float32).max) else float(number)

    return bound(1, "min"), bound(2, "max")


def node_bounds(node: NodeProto, constants: Mapping[str, Array]) -> tuple[float, float]:
    """Return (least, greatest) of a Relu or Clip node, infinite where open; see `bounds_of`."""

    def fail(found: str) -> CheckError:
        return CheckError(f"node '{node.name}' ({node.op_type}): {found}")

    low, high = bounds_of(node.op_type, node.input, attributes_of(node), constants.get, fail)
    return (-math.inf if low is None else low), (math.inf if high is None else high)
