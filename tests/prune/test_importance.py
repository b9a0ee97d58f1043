from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from compress.errors import StageError
from compress.prune.groups import ChannelGroup, Member
from compress.prune.importance import bn_scale_scores, fisher_scores, group_scores, norm_scores, taylor_scores


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
    scores = taylor_scores(net, cross_entropy, [(images_NCHW, labels_N), (images_NCHW, labels_N)])
    assert net[0].weight.grad is None
    gate_C = torch.ones(4, requires_grad=True)  # scaling a filter and its bias scales the channel
    hidden = net[0](images_NCHW) * gate_C.view(1, -1, 1, 1)
    cross_entropy(net[1:](hidden), labels_N).backward()
    torch.testing.assert_close(scores["0", "out"], 2 * gate_C.grad.square())


def _mask_gradients(net, cut, images_NCHW, labels_N):
    """Return the gradient of each image's own loss in a mask behind the first `cut` layers, [N, C]."""
    found = []
    for image_CHW, label in zip(images_NCHW, labels_N, strict=True):
        hidden = net[:cut](image_CHW[None])
        mask_C = torch.ones(hidden.shape[1], requires_grad=True)
        masked = hidden * mask_C.view(1, -1, *[1] * (hidden.ndim - 2))
        cross_entropy(net[cut:](masked), label[None]).backward()
        found.append(mask_C.grad)
    return torch.stack(found)


@pytest.mark.parametrize(("layer", "cut"), [("0", 1), ("2", 3), ("5", 6)])
def test_fisher_is_the_sum_over_images_of_the_squared_gradient_in_a_mask(layer, cut):
    net = _net()
    images_NCHW, labels_N = torch.randn(6, 2, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2])
    expected_C = _mask_gradients(net, cut, images_NCHW, labels_N).square().sum(0)
    scores = fisher_scores(net, cross_entropy, [(images_NCHW[:4], labels_N[:4]), (images_NCHW[4:], labels_N[4:])])
    assert set(scores) == {("0", "out"), ("2", "out"), ("5", "out")}
    torch.testing.assert_close(scores[layer, "out"], expected_C)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


def test_fisher_does_not_let_images_cancel_each_other_as_taylor_does():
    """One channel, whose two images pull its mask in opposite directions with equal force."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2))
    net[0].weight.data.fill_(1.0)
    net[3].weight.data = torch.tensor([[1.0], [-1.0]])
    net[3].bias.data.zero_()
    batch = (torch.ones(2, 1, 2, 2), torch.tensor([0, 1]))
    net[3].weight.requires_grad_(False)
    pulls = _mask_gradients(net, 1, *batch)
    assert pulls[0] < 0 < pulls[1]
    net[3].weight.data *= 1e-4  # nearly uniform answers: the pulls are equal and opposite
    assert (
        taylor_scores(net, cross_entropy, [batch])["0", "out"].item()
        < 1e-4 * fisher_scores(net, cross_entropy, [batch])["0", "out"].item()
    )


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
