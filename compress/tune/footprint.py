"""What a network weighs before anybody trains it: size and speed hardly depend on the weights."""

from __future__ import annotations

from math import inf, sqrt

from pydantic import BaseModel, ConfigDict

from compress.tune.goal import Goal

SHARE = 0.5  # of the parameters, of the network that is measured
LEAST_SHARE = 0.1  # a network of less is not tried
_MARGIN = 0.985  # of the size that is allowed: channels come in eights


class Footprint(BaseModel):
    """An architecture, half of its parameters pruned, untrained, quantized and exported.

    Attributes:
        input_px: side of the image it was measured with.
        params: of the whole network.
        left_params: of the pruned network.
        size_bytes: of the pruned network's file.
        latency_ms: of the pruned network, measured here or estimated for the device.
        memory_bytes: tensors of the pruned network that live at once; None where it is not known.
        step_s: seconds of a training step of the whole network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_px: int
    params: int
    left_params: int
    size_bytes: int
    latency_ms: float
    memory_bytes: int | None
    step_s: float


def largest_share(footprint: Footprint, goal: Goal) -> float:
    """Return the share of the parameters whose int8 file has the size that is allowed, at most 1, perhaps below 0.

    A parameter is a byte. The rest (scales, biases) goes with the channels, the square root of the parameters: rest and
    size of MobileNetV3-Small at 30 and 50 % and of MobileNetV2 at 25 and 40 % follow it to 2 %.
    """
    if goal.max_size_bytes is None:
        return 1.0
    allowed = goal.max_size_bytes * _MARGIN
    left = footprint.left_params / footprint.params  # channels come in eights: not SHARE to the digit
    rest = (footprint.size_bytes - footprint.left_params) / sqrt(left)  # of the whole network
    root = (sqrt(rest**2 + 4 * footprint.params * allowed) - rest) / (2 * footprint.params)
    return min(1.0, root**2)


def largest_px(footprint: Footprint, goal: Goal) -> float:
    """Return the side of the largest image that the goal allows, infinity where nothing bounds it.

    Time and memory grow as the square of the side; what is pruned further is faster than predicted.
    """
    pairs = ((goal.max_latency_ms, footprint.latency_ms), (goal.max_memory_bytes, footprint.memory_bytes))
    bounds = [footprint.input_px * sqrt(allowed / found) for allowed, found in pairs if allowed and found]
    return min(bounds, default=inf)
