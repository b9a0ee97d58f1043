from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from compress.models.build import arch_info, count_macs, count_params
from compress.prune.cost import Costs
from compress.prune.prunable_network import PrunableNetwork

ARCHS = ("tiny", "squeezenet1_1", "mobilenet_v3_small", "tf_mobilenetv3_small_100", "tf_efficientnet_lite0")


def _anatomy(model, spec):
    return PrunableNetwork(model, spec.input_chw, heads=[arch_info(spec.arch).head])


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arch=st.sampled_from(ARCHS), seed=st.integers(0, 1000), some=st.booleans())
def test_what_is_counted_is_what_a_cut_leaves(lively, arch, seed, some):
    """Any channels of any groups: concatenations, depthwise filters and squeeze blocks included."""
    model, spec = lively(arch, 64)
    network = _anatomy(model, spec)
    generator = torch.Generator().manual_seed(seed)
    kept = {}
    for root, width in network.widths().items():
        if some and torch.rand((), generator=generator) < 0.5:
            continue  # a group that is not named stays whole
        count = int(torch.randint(1, width + 1, (), generator=generator))
        kept[root] = torch.randperm(width, generator=generator)[:count].sort().values
    narrow = network.cut(kept)
    assert network.costs.count("macs", kept) == count_macs(narrow, spec.input_chw)
    assert network.costs.count("params", kept) == count_params(narrow)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_whole_network_costs_what_it_has(lively, arch):
    model, spec = lively(arch, 64)
    costs = _anatomy(model, spec).costs
    assert costs.count("macs", {}) == count_macs(model, spec.input_chw)
    assert costs.count("params", {}) == count_params(model)


def test_a_channel_that_is_many_inputs_of_a_flattened_layer_takes_them_all():
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4, 5)).eval()
    network = PrunableNetwork(model, (3, 4, 4), heads=["3"])
    kept = {"0": torch.tensor([0, 2, 3])}
    narrow = network.cut(kept)
    assert narrow[3].in_features == 3 * 4
    assert network.costs.count("macs", kept) == count_macs(narrow, (3, 4, 4)) == 3 * 27 * 4 + 12 * 5
    assert network.costs.count("params", kept) == count_params(narrow) == 3 * 28 + 13 * 5


def test_a_layer_that_runs_twice_counts_twice_and_the_mode_stays():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, images_NCHW):
            return self.conv(self.conv(images_NCHW))

    model = Twice().train()
    assert Costs(model, (3, 4, 4), []).count("macs", {}) == 2 * 9 * 16
    assert model.training
    assert not model.conv._forward_hooks
