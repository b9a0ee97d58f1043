"""Which layers share their channels: the dependency groups of torch-pruning, as plain data.

A channel of a group is one output channel of its root layer, with everything that must go when it goes: the same
channel of layers added to it, its batch norm, its depthwise filter, and the weights of the next layers that read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch_pruning
from torch import Tensor, nn

Role = Literal["out", "in", "norm"]
_SE_BLOCKS = {"SqueezeExcitation", "SqueezeExcite"}  # torchvision's and timm's
_FN = torch_pruning.pruner.function
_ROLES: dict[Any, Role] = {
    _FN.prune_conv_out_channels: "out",
    _FN.prune_depthwise_conv_out_channels: "out",
    _FN.prune_linear_out_channels: "out",
    _FN.prune_conv_in_channels: "in",
    _FN.prune_linear_in_channels: "in",
    _FN.prune_batchnorm_out_channels: "norm",
}


@dataclass(frozen=True)
class Member:
    """One side of one layer in a group.

    Attributes:
        layer: module name of a Conv2d, Linear or BatchNorm2d.
        role: which of its channels belong to the group.
        own: its channel numbers, long [M].
        root: the group's channel numbers for them, long [M]; they differ behind a concatenation.
        gate: the layer computes squeeze-and-excitation gates.
    """

    layer: str
    role: Role
    own: Tensor
    root: Tensor
    gate: bool


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that live and die together.

    Attributes:
        root: module name of the layer whose output channels number the group.
        width: number of channels.
        members: every side of every layer concerned, in the order of the network's layers.
    """

    root: str
    width: int
    members: tuple[Member, ...]

    def makes(self) -> tuple[str, ...]:
        """Return the convolutions and linears whose output channels belong to the group."""
        return tuple(member.layer for member in self.members if member.role == "out")


class ChannelGraph:
    """The dependency groups of one network, and the knife."""

    def __init__(self, model: nn.Module, input_chw: tuple[int, int, int]) -> None:
        """Trace the network once; it is left in eval mode."""
        model.eval()
        self._model = model
        self._names = {module: name for name, module in model.named_modules()}
        self._order = {name: number for number, name in enumerate(self._names.values())}
        self._graph = torch_pruning.DependencyGraph().build_dependency(model, torch.zeros(1, *input_chw))

    def groups(self, heads: Sequence[str]) -> list[ChannelGroup]:
        """Return all groups but the outputs of the heads, in the order of the network's layers."""
        ignored = [self._model.get_submodule(head) for head in heads]
        found = [self._group(group) for group in self._graph.get_all_groups(ignored_layers=ignored)]
        return sorted(found, key=lambda group: self._order[group.makes()[0]])

    def cut(self, group: ChannelGroup, kept: Tensor) -> None:
        """Take out of the network, in place, the channels of the group that are not in `kept` (long [M])."""
        gone = sorted(set(range(group.width)) - set(kept.tolist()))
        if gone:
            root = self._model.get_submodule(group.root)
            pruner = self._graph.get_pruner_of_module(root)
            self._graph.get_pruning_group(root, pruner.prune_out_channels, gone).prune()

    def _group(self, found: Any) -> ChannelGroup:  # noqa: ANN401 - torch-pruning ships no types
        root, _ = found[0]
        members = [
            self._member(dep.target.module, _ROLES[dep.handler], idxs, found[index].root_idxs)
            for index, (dep, idxs) in enumerate(found)
            if dep.handler in _ROLES
        ]
        width = len(members[0].own)
        members.sort(key=lambda member: self._order[member.layer])
        return ChannelGroup(root=self._names[root.target.module], width=width, members=tuple(members))

    def _member(self, module: nn.Module, role: Role, own: list[int], root: list[int]) -> Member:
        name = self._names[module]
        return Member(name, role, torch.tensor(own), torch.tensor(root), gate=self._is_gate(name))

    def _is_gate(self, name: str) -> bool:
        parts = name.split(".")
        parents = (self._model.get_submodule(".".join(parts[:depth])) for depth in range(1, len(parts)))
        return any(type(parent).__name__ in _SE_BLOCKS for parent in parents)
