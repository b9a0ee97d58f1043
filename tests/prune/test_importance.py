from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.errors import StageError
from compress.prune.groups import ChannelGroup, Member
from compress.prune.importance import bn_scale_scores, group_scores, norm_scores, taylor_scores


def _net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    ).eval()


def test_norms_by_hand():
    net = _net()
    for p in (1, 2):
        scores = norm_scores(net, p)
        assert set(scores) == {("0", "out"), ("0", "in"), ("2", "out"), ("5", "out"), ("5", "in")}
        weight_OIHW = net[0].weight.detach()
        expected = torch.stack([(channel.abs() ** p).sum() ** (1 / p) for channel in weight_OIHW])
        torch.testing.assert_close(scores["0", "out"], expected)
        torch.testing.assert_close(scores["5", "in"], (net[5].weight.detach().abs() ** p).sum(0) ** (1 / p))


def test_bn_scale_is_the_size_of_gamma_and_needs_batch_norm():
    norm = nn.BatchNorm2d(2)
    norm.weight.data = torch.tensor([-2.0, 0.5])
    scores = bn_scale_scores(nn.Sequential(nn.Conv2d(1, 2, 1), norm))
    torch.testing.assert_close(scores["1", "norm"], torch.tensor([2.0, 0.5]))
    with pytest.raises(StageError, match="needs batch norm"):
        bn_scale_scores(_net())


def test_taylor_is_the_squared_gradient_of_a_gate_on_the_channel():
    net = _net()
    images_NCHW, labels_N = torch.randn(6, 2, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    scores = taylor_scores(net, [(images_NCHW, labels_N), (images_NCHW, labels_N)])
    assert net[0].weight.grad is None
    gate_C = torch.ones(4, requires_grad=True)  # scaling a filter and its bias scales the channel
    hidden = net[0](images_NCHW) * gate_C.view(1, -1, 1, 1)
    nn.functional.cross_entropy(net[1:](hidden), labels_N).backward()
    torch.testing.assert_close(scores["0", "out"], 2 * gate_C.grad.square())


def _member(layer, role, own=(0, 1), root=(0, 1), gate=False):
    return Member(layer, role, torch.tensor(own), torch.tensor(root), gate)


def test_layers_vote_relative_to_their_own_mean_and_gates_do_not():
    group = ChannelGroup("a", 2, (_member("a", "out"), _member("b", "in", own=(5, 4)), _member("se", "in", gate=True)))
    scores = {
        ("a", "out"): torch.tensor([1.0, 3.0]),
        ("b", "in"): torch.tensor([0, 0, 0, 0, 1000.0, 3000.0]),
        ("se", "in"): torch.tensor([9e9, 0.0]),
    }
    torch.testing.assert_close(group_scores(group, scores, normalise=True), torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(group_scores(group, scores, normalise=False), torch.tensor([1500.5, 501.5]))


def test_gates_alone_vote_on_squeeze_widths():
    group = ChannelGroup("se.fc1", 2, (_member("se.fc1", "out", gate=True), _member("se.fc2", "in", gate=True)))
    scores = {("se.fc1", "out"): torch.tensor([1.0, 3.0])}
    torch.testing.assert_close(group_scores(group, scores, normalise=True), torch.tensor([0.5, 1.5]))
    assert group_scores(group, {}, normalise=True) is None


def test_a_channel_that_is_many_inputs_of_a_flattened_layer_counts_them_all():
    group = ChannelGroup("a", 2, (_member("fc", "in", own=(0, 1, 2, 3), root=(0, 0, 1, 1)),))
    scores = {("fc", "in"): torch.tensor([1.0, 2.0, 3.0, 4.0])}
    torch.testing.assert_close(group_scores(group, scores, normalise=False), torch.tensor([3.0, 7.0]))
