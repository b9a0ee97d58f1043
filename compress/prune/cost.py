"""What a cut would leave, by arithmetic: multiply-accumulates and parameters, without making the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.models.build import pass_blank_image
from compress.prune.groups import ChannelGroup

Countable = Literal["macs", "params"]
Kept = Mapping[str, Tensor]  # root of a group -> its channels that stay, long [M]; a group that is absent stays whole


@dataclass(frozen=True)
class _Layer:
    """One convolution, linear or batch norm.

    Attributes:
        outputs: channels made.
        inputs: channels read by each output; 1 in depthwise convolutions and 0 in batch norms, whatever is cut.
        readable: whether `inputs` shrinks with the channels it reads.
        weights: parameters for each (output, input): the kernel's area.
        vectors: parameters for each output: bias, or the two of a batch norm.
        places: output positions of one image; 0 for a batch norm, whose MACs are not counted.
    """

    outputs: int
    inputs: int
    readable: bool
    weights: int
    vectors: int
    places: int


class Costs:
    """The costs of one network as functions of what is kept."""

    def __init__(self, model: nn.Module, input_chw: tuple[int, int, int], groups: Sequence[ChannelGroup]) -> None:
        """Run the network once on an empty image.

        Args:
            model: not changed.
            input_chw: size of one image.
            groups: all coupled groups of this network.
        """
        self._groups = {group.root: group for group in groups}
        self._uses = {group.root: _uses(group) for group in groups}
        places = _places(model, input_chw)
        self._layers = {
            name: _layer(module, places.get(name, 0))
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d)
        }

    def count(self, what: Countable, kept: Kept) -> int:
        """Return what is left when of each group only `kept` stays."""
        outputs, inputs = self._widths(kept)
        total = 0
        for name, layer in self._layers.items():
            weights = outputs[name] * inputs[name] * layer.weights
            if what == "macs":
                total += weights * layer.places
            else:
                total += weights + outputs[name] * layer.vectors
        return total

    def _widths(self, kept: Kept) -> tuple[dict[str, int], dict[str, int]]:
        outputs = {name: layer.outputs for name, layer in self._layers.items()}
        inputs = {name: layer.inputs for name, layer in self._layers.items()}
        for root, channels in kept.items():
            group = self._groups[root]
            gone = torch.ones(group.width, dtype=torch.int64)
            gone[channels] = 0
            # one product for all members: budgets are searched with thousands of these counts
            for member, count in zip(group.members, (self._uses[root] @ gone).tolist(), strict=True):
                if member.role != "in":
                    outputs[member.layer] -= count
                elif self._layers[member.layer].readable:
                    inputs[member.layer] -= count
        return outputs, inputs


def _uses(group: ChannelGroup) -> Tensor:
    """Return how many channels of each member go with each channel of the group, long [members, width]."""
    return torch.stack([torch.bincount(member.root, minlength=group.width) for member in group.members])


def _layer(module: nn.Conv2d | nn.Linear | nn.BatchNorm2d, places: int) -> _Layer:
    if isinstance(module, nn.BatchNorm2d):
        return _Layer(module.num_features, 0, readable=False, weights=0, vectors=2, places=0)
    outputs, inputs, *kernel = module.weight.shape
    depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
    vectors = int(module.bias is not None)
    return _Layer(outputs, inputs, readable=not depthwise, weights=prod(kernel), vectors=vectors, places=places)


def _places(model: nn.Module, input_chw: tuple[int, int, int]) -> dict[str, int]:
    """Return name -> output positions of one image, for every convolution and linear."""
    places: dict[str, int] = {}
    hooks = [
        _count_places(module, name, places)
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    pass_blank_image(model, input_chw, hooks)
    return places


def _count_places(layer: nn.Module, name: str, places: dict[str, int]) -> RemovableHandle:
    def count(_: nn.Module, __: object, output: Tensor) -> None:
        places[name] = places.get(name, 0) + prod(output.shape[2:])

    return layer.register_forward_hook(count)
