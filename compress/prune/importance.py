"""What a channel is worth. First every layer scores its own channels, then the layers of a group vote.

Suffixes: O output channels, I input channels of a layer, C channels of a group, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.engine.losses import Loss
from compress.errors import StageError
from compress.prune.groups import ChannelGroup, Member, Role
from compress.prune.images import Batches

LayerScores = Mapping[tuple[str, Role], Tensor]  # (layer, side) -> score per channel, >= 0
_TINY = 1e-12


def norm_scores(folded: nn.Module, p: int) -> LayerScores:
    """Return the p-norm of each channel's weights, for both sides of every convolution and linear.

    Filter norms after Li 2017 (Pruning Filters for Efficient ConvNets, section 3.1), but of weights with batch norm
    folded in: before folding, a filter's scale says nothing, since the norm behind it divides it out.

    Args:
        folded: from `fold_batch_norm`.
        p: 1 or 2.
    """
    scores: dict[tuple[str, Role], Tensor] = {}
    for name, layer in _layers(folded):
        weight = layer.weight.detach()
        scores[name, "out"] = weight.flatten(1).norm(p=p, dim=1)
        if not _is_depthwise(layer):
            scores[name, "in"] = weight.transpose(0, 1).flatten(1).norm(p=p, dim=1)
    return scores


def bn_scale_scores(model: nn.Module) -> LayerScores:
    """Return |gamma| of every batch norm (Liu 2017, Network Slimming, section 3).

    Raises:
        StageError: the network has no batch norm.
    """
    scores: dict[tuple[str, Role], Tensor] = {
        (name, "norm"): module.weight.detach().abs()
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    }
    if not scores:
        raise StageError("importance bn_scale needs batch norm, and this network has none", hint="use importance: l2")
    return scores


def taylor_scores(folded: nn.Module, loss: Loss, batches: Batches) -> LayerScores:
    """Return the squared first-order change of the loss when a channel's weights become zero, over all batches.

    Molchanov 2019 (Importance Estimation for Neural Network Pruning), equation 8: (sum of gradient times weight)^2
    over the weights of the channel. Eval mode.

    Args:
        folded: from `fold_batch_norm`; its gradients are cleared.
        loss: mean of a batch, of the network's outputs and the batch's targets.
        batches: images_NCHW and targets.
    """
    totals: dict[tuple[str, Role], Tensor] = {}
    for images_NCHW, targets in batches:
        folded.zero_grad(set_to_none=True)
        loss(folded(images_NCHW), targets).backward()  # type: ignore[no-untyped-call]
        for key, score in _taylor_of_batch(folded):
            totals[key] = totals[key] + score if key in totals else score
    folded.zero_grad(set_to_none=True)
    return totals


def fisher_scores(folded: nn.Module, loss: Loss, batches: Batches) -> LayerScores:
    """Return the sum over images of the squared change of the loss when a channel's output is masked.

    Liu 2021 (Group Fisher Pruning for Practical Network Compression, equations 5 and 6): the second-order term of the
    loss in the mask, with the Fisher information in place of the Hessian. Unlike Taylor's, each image is squared
    by itself, so changes of opposite sign do not cancel. Eval mode. Where an activation works in place,
    as in all our architectures, the output is the activation's.

    Args:
        folded: from `fold_batch_norm`; its gradients are cleared.
        loss: mean of a batch, of the network's outputs and the batch's targets.
        batches: images_NCHW and targets.
    """
    totals: dict[tuple[str, Role], Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep_output(name: str, layer: nn.Module) -> RemovableHandle:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            output.retain_grad()
            outputs[name] = output

        return layer.register_forward_hook(hook)

    hooks = [keep_output(name, layer) for name, layer in _layers(folded)]
    try:
        for images_NCHW, targets in batches:
            folded.zero_grad(set_to_none=True)
            total = loss(folded(images_NCHW), targets) * len(images_NCHW)
            total.backward()  # type: ignore[no-untyped-call]
            for name, output in outputs.items():
                if output.grad is None:
                    continue
                change_NO = (
                    (output.detach() * output.grad).flatten(2).sum(2) if output.ndim > 2 else output * output.grad
                )
                score_O = change_NO.detach().square().sum(0)
                totals[name, "out"] = totals[name, "out"] + score_O if (name, "out") in totals else score_O
    finally:
        for handle in hooks:
            handle.remove()
    folded.zero_grad(set_to_none=True)
    return totals


def group_scores(group: ChannelGroup, scores: LayerScores, *, normalise: bool) -> Tensor | None:
    """Return the mean vote of a group's layers, [C], or None when none of them has scores.

    Layers that compute squeeze-and-excitation gates have no vote on the channels they gate: a gate's weights are
    large where it switches a channel, not where the channel is worth keeping. On squeeze widths they alone vote.

    Args:
        group: of C channels.
        scores: per layer and side.
        normalise: divide each layer's votes by their mean, so that layers of other units or sizes weigh the same.
    """
    voters = [member for member in group.members if (member.layer, member.role) in scores]
    voters = [member for member in voters if not member.gate] or voters
    if not voters:
        return None
    votes = torch.stack([_vote(member, group.width, scores, normalise=normalise) for member in voters])
    return votes.mean(dim=0)


def _vote(member: Member, width: int, scores: LayerScores, *, normalise: bool) -> Tensor:
    score = scores[member.layer, member.role][member.own]
    if normalise:
        score = score / (score.mean() + _TINY)
    return torch.zeros(width).index_add_(0, member.root, score)  # one channel may be many inputs of a flattened layer


def _taylor_of_batch(folded: nn.Module) -> Iterable[tuple[tuple[str, Role], Tensor]]:
    for name, layer in _layers(folded):
        if layer.weight.grad is None:
            continue
        change = layer.weight.grad * layer.weight.detach()
        change_O = change.flatten(1).sum(1)
        if layer.bias is not None and layer.bias.grad is not None:
            change_O = change_O + layer.bias.grad * layer.bias.detach()
        yield (name, "out"), change_O.square()
        if not _is_depthwise(layer):
            yield (name, "in"), change.transpose(0, 1).flatten(1).sum(1).square()


def _layers(model: nn.Module) -> Iterable[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _is_depthwise(layer: nn.Conv2d | nn.Linear) -> bool:
    """Say whether the input side of a layer is its output side, already counted."""
    return isinstance(layer, nn.Conv2d) and layer.groups > 1
