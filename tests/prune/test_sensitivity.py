from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from compress.core.stage import SilentReporter
from compress.models.build import arch_info
from compress.models.fold import fold_batch_norm
from compress.prune.allocate import Widths, best_channels
from compress.prune.datasets import judged as judged_by_labels
from compress.prune.groups import ChannelGroup, Member
from compress.prune.prunable_network import PrunableNetwork
from compress.prune.sensitivity import (
    LEVELS,
    GroupSensitivity,
    WidthPoint,
    _switched_off,
    cheapest_cuts,
    measure_sensitivity,
)

ARCHS = ("tiny", "mobilenet_v3_small", "tf_mobilenetv3_small_100", "squeezenet1_1", "mobilenetv2_100")


def _anatomy(model, spec, protected=()):
    info = arch_info(spec.arch)
    return PrunableNetwork(model, spec.input_chw, heads=[info.head], protected=(info.stem, *protected))


def _images(spec, count=4):
    return torch.randn(count, *spec.input_chw, generator=torch.Generator().manual_seed(5))


class _Hand:
    """Images that are given, of which the accuracy is top-1."""

    metric = "top1"

    def __init__(self, batches):
        self.batches = batches
        self.judged = sum(len(labels_N) for _, labels_N in batches)

    def judge(self, model):
        return judged_by_labels(model, self.batches)


def _logits(model, images_NCHW):
    with torch.no_grad():
        return model(images_NCHW)


def _weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
def test_switching_off_is_cutting(lively, arch):
    """For groups all over the network: expanded, added, gated, squeeze and concatenated channels."""
    model, spec = lively(arch, 64)
    network = _anatomy(model, spec)
    folded = fold_batch_norm(model, spec.input_chw)
    before, images_NCHW = _weights(folded), _images(spec)
    whole_NK = _logits(folded, images_NCHW)
    moved = 0
    for group in network.free[:: max(1, len(network.free) // 7)]:
        kept = torch.randperm(group.width, generator=torch.Generator().manual_seed(1))[: group.width // 2].sort().values
        with _switched_off(folded, group, kept):
            off_NK = _logits(folded, images_NCHW)
        cut_NK = _logits(network.cut({group.root: kept}), images_NCHW)
        scale = max(1.0, float(whole_NK.abs().max()))  # folding rounds relative to the largest logit
        torch.testing.assert_close(off_NK / scale, cut_NK / scale, atol=1e-4, rtol=0, msg=group.root)
        moved += not torch.allclose(off_NK, whole_NK, atol=1e-3)
    assert moved > 0, "else nothing was switched off"
    after = folded.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_the_layers_own_channel_numbers_are_switched_off():
    """Where a layer is added to a concatenation, its numbers are not the group's."""
    net = nn.Sequential(nn.Conv2d(1, 4, 1))
    before = net[0].weight.clone()
    member = Member("0", "out", own=torch.tensor([2, 3]), root=torch.tensor([0, 1]), gate=False)
    with _switched_off(net, ChannelGroup("0", 2, (member,)), torch.tensor([1])):
        assert net[0].weight[2].item() == net[0].bias[2].item() == 0
        assert torch.equal(net[0].weight[[0, 1, 3]], before[[0, 1, 3]])
    assert torch.equal(net[0].weight, before)


def test_weights_come_back_when_the_judging_fails(lively):
    model, spec = lively("tiny", 48)
    network = _anatomy(model, spec)
    folded = fold_batch_norm(model, spec.input_chw)
    before = _weights(folded)

    def judge():
        with _switched_off(folded, network.free[0], torch.tensor([0])):
            assert not all(torch.equal(folded.state_dict()[name], tensor) for name, tensor in before.items())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judge()
    assert all(torch.equal(folded.state_dict()[name], tensor) for name, tensor in before.items())


def test_every_point_is_the_accuracy_and_loss_of_the_cut_network(lively):
    model, spec = lively("tiny", 48)
    network = _anatomy(model, spec, protected=("blocks.[1-4]*", "conv_head"))
    folded = fold_batch_norm(model, spec.input_chw)
    images_NCHW, labels_N = _images(spec, 7), torch.arange(7) % 3
    batches = [(images_NCHW[:4], labels_N[:4]), (images_NCHW[4:], labels_N[4:])]  # unequal: means must be weighted
    scores, widths = network.scores("l2", cross_entropy), Widths(network.widths())
    before = _weights(folded)
    found = measure_sensitivity(folded, network.free, scores, widths, _Hand(batches), SilentReporter())
    assert all(torch.equal(folded.state_dict()[name], tensor) for name, tensor in before.items())
    assert found.images == 7
    assert set(found.curves) == {group.root for group in network.free} == set(found.layers)

    def judged(network):
        logits_NK = _logits(network, images_NCHW)
        top1 = 100 * (logits_NK.argmax(1) == labels_N).double().mean().item()
        return pytest.approx(top1), pytest.approx(cross_entropy(logits_NK, labels_N).item(), abs=1e-5)

    assert (found.whole.accuracy_pct, found.whole.loss) == judged(model)
    for root, points in found.curves.items():
        for point in points:
            assert point.keep == point.width / widths.full[root]
            cut = network.cut(best_channels({root: scores[root]}, {root: point.width}))
            assert (point.accuracy_pct, point.loss) == judged(cut), (root, point)


def test_levels_that_round_to_one_width_are_measured_once(lively):
    model, spec = lively("tiny", 48)
    network = _anatomy(model, spec)
    folded = fold_batch_norm(model, spec.input_chw)
    batches = [(_images(spec, 3), torch.arange(3))]
    widths = Widths(network.widths(), round_to=16, least=32)
    scores, images = network.scores("l2", cross_entropy), _Hand(batches)
    found = measure_sensitivity(folded, network.free, scores, widths, images, SilentReporter())
    for root, points in found.curves.items():
        full = widths.full[root]
        expected = {widths.allowed(level * full, full) for level in LEVELS} - {full}
        assert [point.width for point in points] == sorted(expected, reverse=True)
        assert all(point.width >= 32 and point.width % 16 == 0 for point in points)
    assert any(not points for points in found.curves.values()), "a narrow group cannot be cut"
    assert any(0 < len(points) < len(LEVELS) for points in found.curves.values())


class _Areas:
    """Costs that are easy by hand: each channel of a group costs a fixed amount."""

    def __init__(self, **each):
        self.each = each

    def count(self, what, kept):
        return sum(self.each[root] * len(channels) for root, channels in kept.items())


def _measured(**curves):
    found = {
        root: tuple(WidthPoint(width, width / 100, 90.0, loss) for width, loss in points)
        for root, points in curves.items()
    }
    return GroupSensitivity(10, WidthPoint(0, 1.0, 95.0, 1.0), found, {root: (root,) for root in found})


def _path(found, costs, **full):
    return [tuple(state.values()) for state in cheapest_cuts(found, costs, "macs", full)]


def test_the_cheapest_cut_for_what_it_saves_comes_first():
    """a: 0.1 nats for 50, then 0.9 for 25; b: 0.3 nats for 50."""
    found = _measured(a=[(50, 1.1), (25, 2.0)], b=[(50, 1.3)])
    assert _path(found, _Areas(a=1, b=1), a=100, b=100) == [(100, 100), (50, 100), (50, 50), (25, 50)]


def test_what_a_cut_saves_counts_as_much_as_what_it_costs():
    found = _measured(a=[(50, 1.1)], b=[(50, 1.3)])
    assert _path(found, _Areas(a=1, b=10), a=100, b=100) == [(100, 100), (100, 50), (50, 50)]


def test_a_bad_level_is_skipped_and_not_come_back_to():
    """Half of a costs 2 nats, a quarter of it (another ranking, a lucky cut) only 0.1."""
    found = _measured(a=[(50, 3.0), (25, 1.1)], b=[(50, 1.3)])
    assert _path(found, _Areas(a=1, b=1), a=100, b=100) == [(100, 100), (25, 100), (25, 50)]


def test_a_cut_that_gains_is_as_good_as_free_and_never_pays_for_another():
    """Loss below the whole network's: the next level of that group still costs from what was reached before."""
    found = _measured(a=[(75, 0.5), (50, 1.4)], b=[(50, 2.25)])  # 0.4 nats for 25, and not 0.9; 1.25 for 50
    assert _path(found, _Areas(a=1, b=1), a=100, b=100) == [(100, 100), (75, 100), (50, 100), (50, 50)]


def test_a_group_that_cannot_be_cut_stays_whole():
    found = _measured(a=[], b=[(50, 1.3)])
    assert _path(found, _Areas(a=1, b=1), a=8, b=100) == [(8, 100), (8, 50)]


@pytest.mark.slow
def test_on_a_real_network_each_step_saves(lively):
    model, spec = lively("tiny", 48)
    network = _anatomy(model, spec)
    widths = Widths(network.widths())
    batches = [(_images(spec, 3), torch.arange(3))]
    folded, scores = fold_batch_norm(model, spec.input_chw), network.scores("l2", cross_entropy)
    found = measure_sensitivity(folded, network.free, scores, widths, _Hand(batches), SilentReporter())
    path = cheapest_cuts(found, network.costs, "params", widths.full)
    assert path[0] == widths.full
    assert path[-1] == {
        root: points[-1].width if points else widths.full[root] for root, points in found.curves.items()
    }
    sizes = [network.costs.count("params", best_channels(scores, state)) for state in path]
    assert sizes == sorted(set(sizes), reverse=True)


def test_what_was_measured_is_json_with_its_image_count():
    found = _measured(a=[(50, 1.1)], b=[])
    assert found.as_json() == {
        "images": 10,
        "judged_on": "train",
        "whole": {"top1_pct": 95.0, "loss": 1.0},
        "groups": [
            {"group": "a", "layers": ["a"], "points": [{"width": 50, "keep": 0.5, "top1_pct": 90.0, "loss": 1.1}]},
            {"group": "b", "layers": ["b"], "points": []},
        ],
    }
