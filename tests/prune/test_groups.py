from __future__ import annotations

import copy

import pytest
import torch

from compress.models.build import arch_info, layer_table
from compress.prune.groups import ChannelGraph


def _groups(lively, arch):
    model, spec = lively(arch, 64)
    return {group.root: group for group in ChannelGraph(copy.deepcopy(model), spec.input_chw).groups([_head(arch)])}


def _head(arch):
    return arch_info(arch).head


@pytest.mark.parametrize("arch", ["tiny", "mobilenet_v3_small", "tf_mobilenetv3_small_100", "squeezenet1_1"])
def test_every_layer_but_the_head_makes_the_channels_of_exactly_one_group(lively, arch):
    made = [layer for group in _groups(lively, arch).values() for layer in group.makes()]
    model, _ = lively(arch, 64)
    layers = {row.name for row in layer_table(model) if row.kind != "bn"}
    assert sorted(made) == sorted(layers - {_head(arch)})


def test_a_squeeze_block_belongs_to_two_groups_as_a_gate(lively):
    block = "features.6.block"
    groups = [group for group in _groups(lively, "mobilenet_v3_small").values() if f"{block}.1.0" in group.makes()]
    assert len(groups) == 1
    sides = {(member.layer, member.role): member.gate for member in groups[0].members}
    assert sides == {
        (f"{block}.0.0", "out"): False,
        (f"{block}.0.1", "norm"): False,
        (f"{block}.1.0", "out"): False,
        (f"{block}.1.1", "norm"): False,
        (f"{block}.2.fc1", "in"): True,
        (f"{block}.2.fc2", "out"): True,
        (f"{block}.3.0", "in"): False,
    }
    squeeze = _groups(lively, "mobilenet_v3_small")[f"{block}.2.fc1"]
    assert {(member.layer, member.role) for member in squeeze.members} == {
        (f"{block}.2.fc1", "out"),
        (f"{block}.2.fc2", "in"),
    }


def test_behind_a_concatenation_the_channel_numbers_shift(lively):
    group = _groups(lively, "squeezenet1_1")["features.3.expand3x3"]
    reader = next(member for member in group.members if member.role == "in")
    assert reader.layer == "features.4.squeeze"
    assert torch.equal(reader.own, reader.root + 64)


def test_cutting_takes_the_named_channels_and_no_others(lively):
    model, spec = lively("squeezenet1_1", 64)
    narrow = copy.deepcopy(model)
    graph = ChannelGraph(narrow, spec.input_chw)
    group = next(group for group in graph.groups(["classifier.1"]) if group.root == "features.3.expand3x3")
    kept = torch.arange(0, 64, 2)
    graph.cut(group, kept)
    assert torch.equal(narrow.features[3].expand3x3.weight, model.features[3].expand3x3.weight[kept])
    read = torch.cat([torch.arange(64), 64 + kept])
    assert torch.equal(narrow.features[4].squeeze.weight, model.features[4].squeeze.weight[:, read])
    assert torch.equal(narrow.features[3].expand1x1.weight, model.features[3].expand1x1.weight)
