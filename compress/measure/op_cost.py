"""`OpCost`: what one operator takes, and how many calls tell it, for every runtime."""

from __future__ import annotations

from dataclasses import dataclass

CALLS = 30
WARMUP = 5


@dataclass(frozen=True)
class OpCost:
    """One operator.

    Attributes:
        name: of the node; for LiteRT the tensor it makes.
        op: type of the operator as the runtime carries it out, after its own fusions.
        ms: mean time in one call.
        delegated: LiteRT: whether XNNPACK runs it; None for ONNX Runtime, which has no such split on a CPU.
    """

    name: str
    op: str
    ms: float
    delegated: bool | None
