"""Operators that exporters spell out in several nodes, written as the one operator that they are.

Opset 14 brought HardSwish; before it, and in Keras, hard-sigmoid is clip(x + 3, 0, 6) / 6 and hard-swish x times that
(Howard et al. 2019, "Searching for MobileNetV3", section 5.2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from onnx import GraphProto, NodeProto, helper

from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH
from compress.graph.proto import Array, attributes_of, constants_of, makers_of

_REL_TOL = 1e-5
_SIXTH, _HALF, _ROOT_HALF = 1 / 6, 0.5, math.sqrt(0.5)


def recognise_spelled(graph: GraphProto) -> None:
    """Write spelled-out hard-sigmoids and hard-swishes as HardSigmoid and HardSwish; what nothing reads any more stays.

    Dead nodes are left to whoever cleans the graph.
    """
    view = _View(graph)
    for node in graph.node:
        source = view.hard_sigmoid_source(node)
        if source is not None:
            _become(node, HARD_SIGMOID, source, alpha=_SIXTH, beta=_HALF)
    view = _View(graph)
    for node in graph.node:
        source = view.hard_swish_source(node)
        if source is not None:
            _become(node, HARD_SWISH, source)


def recognise_gelu(graph: GraphProto) -> None:
    """Write x / 2 * (1 + erf(x / sqrt 2)) as Gelu, which ONNX has since opset 20 (Hendrycks and Gimpel 2016)."""
    view = _View(graph)
    for node in graph.node:
        source = view.gelu_source(node)
        if source is not None:
            _become(node, "Gelu", source)


class _View:
    """A graph's constants as single numbers, and who makes each tensor."""

    def __init__(self, graph: GraphProto) -> None:
        self._known: Mapping[str, Array] = constants_of(graph)
        self._makers = makers_of(graph)

    def hard_sigmoid_source(self, node: NodeProto) -> str | None:
        """Return x where a node makes clip(x + 3, 0, 6) / 6 or clip(x / 6 + 1/2, 0, 1)."""
        if node.op_type == CLIP and self._bounds(node) == (0.0, 1.0):
            for scaled in self._less(node.input[0], _HALF):
                return self._scaled(self._makers.get(scaled), _SIXTH)
            return None
        clipped = self._scaled(node, _SIXTH)
        return None if clipped is None else self._clipped_shift(clipped)

    def hard_swish_source(self, node: NodeProto) -> str | None:
        """Return x where a node makes x * hard-sigmoid(x), or x * clip(x + 3, 0, 6), one of the three by 6."""
        if node.op_type == "Mul":
            for x, other in (tuple(node.input), tuple(node.input)[::-1]):
                if self._is_hard_sigmoid_of(other, x) or self._is_sixth_times_clip(x, other):
                    return x if self._is_hard_sigmoid_of(other, x) else self._scaled(self._makers.get(x), _SIXTH)
        product = self._makers.get(self._scaled(node, _SIXTH) or "")
        if product is None or product.op_type != "Mul":
            return None
        pairs = (tuple(product.input), tuple(product.input)[::-1])
        return next((x for x, clipped in pairs if self._clipped_shift(clipped) == x), None)

    def gelu_source(self, node: NodeProto) -> str | None:
        """Return x where a node makes the product of x, 1/2 and 1 + erf(x / sqrt 2), in any order."""
        if node.op_type not in ("Mul", "Div"):
            return None
        factors, number = self._factors(node.output[0])
        if len(factors) != 2 or not _close(number, _HALF):
            return None
        for x, other in (factors, factors[::-1]):
            for curve in self._less(other, 1.0):
                erf = self._makers.get(curve)
                if erf is not None and erf.op_type == "Erf":
                    inside, share = self._factors(erf.input[0])
                    if inside == [x] and _close(share, _ROOT_HALF):
                        return x
        return None

    def _factors(self, name: str) -> tuple[list[str], float]:
        """Return the tensors and the number that a tensor is the product of."""
        node = self._makers.get(name)
        if node is None or node.op_type not in ("Mul", "Div"):
            return [name], 1.0
        first, second = node.input
        divisor = self._number(second)
        if node.op_type == "Div":
            if not divisor:
                return [name], 1.0
            inside, share = self._factors(first)
            return inside, share / divisor
        found: list[str] = []
        total = 1.0
        for part in (first, second):
            number = self._number(part)
            inside, share = ([], number) if number is not None else self._factors(part)
            found += inside
            total *= share
        return found, total

    def _is_hard_sigmoid_of(self, name: str, x: str) -> bool:
        node = self._makers.get(name)
        if node is None or node.op_type != HARD_SIGMOID or node.input[0] != x:
            return False
        given = attributes_of(node)
        return _close(given.get("alpha", 0.2), _SIXTH) and _close(given.get("beta", 0.5), _HALF)

    def _is_sixth_times_clip(self, name: str, clipped: str) -> bool:
        x = self._scaled(self._makers.get(name), _SIXTH)
        return x is not None and self._clipped_shift(clipped) == x

    def _clipped_shift(self, name: str) -> str | None:
        """Return x where a tensor is clip(x + 3, 0, 6)."""
        node = self._makers.get(name)
        if node is None or node.op_type != CLIP or self._bounds(node) != (0.0, 6.0):
            return None
        return next(self._less(node.input[0], 3.0), None)

    def _scaled(self, node: NodeProto | None, factor: float) -> str | None:
        """Return x where a node makes x times a number, by a product or a quotient."""
        if node is None or node.op_type not in ("Mul", "Div"):
            return None
        first, second = node.input
        if node.op_type == "Div":
            number = self._number(second)
            return first if number is not None and number != 0 and _close(1 / number, factor) else None
        return next((x for x, c in ((first, second), (second, first)) if _close(self._number(c), factor)), None)

    def _less(self, name: str, shift: float) -> Iterator[str]:
        """Yield x where a tensor is x plus a number."""
        node = self._makers.get(name)
        if node is not None and node.op_type == "Add":
            first, second = node.input
            yield from (x for x, c in ((first, second), (second, first)) if _close(self._number(c), shift))

    def _bounds(self, node: NodeProto) -> tuple[float | None, float | None]:
        given = attributes_of(node)
        names = [*node.input[1:3], "", ""]
        low, high = self._number(names[0]), self._number(names[1])
        return (given.get("min") if low is None else low), (given.get("max") if high is None else high)

    def _number(self, name: str) -> float | None:
        """Return a constant of one element; None for anything else: a larger one may broadcast its operand."""
        array = self._known.get(name)
        return float(array.flat[0]) if array is not None and array.size == 1 else None


def _close(number: float | None, wanted: float) -> bool:
    return number is not None and math.isclose(number, wanted, rel_tol=_REL_TOL)


def _become(node: NodeProto, op_type: str, source: str, **attributes: float) -> None:
    node.op_type = op_type
    del node.input[:]
    node.input.append(source)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
