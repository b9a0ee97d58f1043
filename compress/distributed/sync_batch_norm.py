"""What of a forward pass depends on the whole batch, where several processes hold shares of it: BatchNorm and dropout.

torch's SyncBatchNorm runs on GPUs alone and takes the place of modules, which changes the model. Here the model stays
as it is: while a block is entered, `F.batch_norm` itself, which all BatchNorm modules call, is computed over all
processes (one small all-reduce forwards and one backwards each), and `F.dropout` draws for the whole batch.

Legend: C channels, n values of a channel in this share, N in the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch.overrides import TorchFunctionMode

from compress.distributed.collectives import share_of, sum_in_place


class WholeBatch(TorchFunctionMode):
    """Inside the block, a model in training mode sees its share as a part of the whole batch."""

    def __init__(self, n: int) -> None:
        """Hold the size of the whole batch."""
        super().__init__()
        self._n = n

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's own signature
        """Compute `F.batch_norm` and `F.dropout` as for the whole batch, anything else as ever."""
        if func is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        if func is F.dropout:
            return self._dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(
        self,
        input: torch.Tensor,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> torch.Tensor:
        """Return what F.dropout gives the images of this share: all processes draw the same, for all images."""
        if not training or p in (0.0, 1.0):
            return input * (1.0 - p) if training else input
        noise = input.new_empty(self._n, *input.shape[1:]).bernoulli_(1.0 - p).div_(1.0 - p)
        return input * noise[torch.from_numpy(share_of(self._n)).to(input.device)]


def _batch_norm(
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Do what F.batch_norm does, over all processes where it is in training mode."""
    if not training:
        return torch.batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps, False)
    channels = input.shape[1]
    weight = input.new_ones(channels) if weight is None else weight
    bias = input.new_zeros(channels) if bias is None else bias
    output, mean_C, var_C, count = _Norm.apply(input, weight, bias, eps)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean_C.to(running_mean), momentum)
        if running_var is not None:
            unbiased_C = var_C * (count / (count - 1).clamp_min(1))
            running_var.lerp_(unbiased_C.to(running_var), momentum)
    result: torch.Tensor = output
    return result


class _Norm(torch.autograd.Function):
    """Ioffe & Szegedy 2015, algorithm 1, and its gradient, with sums over all processes."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own signature
        input: torch.Tensor,
        weight_C: torch.Tensor,
        bias_C: torch.Tensor,
        eps: float,
    ) -> tuple[torch.Tensor, ...]:
        """Return the output, mean [C] and biased variance [C] of the whole batch, and N."""
        n, channels = input.numel() // input.shape[1], input.shape[1]
        mean_C, var_C = (value.double() for value in torch.batch_norm_update_stats(input, None, None, 0.0))
        sums = torch.cat([mean_C * n, (var_C + mean_C.square()) * n, mean_C.new_tensor([n])])
        sum_in_place(sums)
        total, squares, count = torch.split(sums, [channels, channels, 1])
        mean_C = total / count
        var_C = (squares / count - mean_C.square()).clamp_min_(0.0)
        mean, var = mean_C.to(weight_C), var_C.to(weight_C)
        ctx.save_for_backward(input, weight_C, mean, var, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, var, count)
        return torch.batch_norm(input, weight_C, bias_C, mean, var, False, 0.0, eps, False), mean, var, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN401
        """Return the gradients of input, weight and bias; the latter two are sums over this share."""
        input_, weight_C, mean_C, var_C, count = ctx.saved_tensors
        # with the statistics held constant; then what flows through the statistics, from all processes
        grad_input, grad_weight_C, grad_bias_C = torch.ops.aten.native_batch_norm_backward(
            gradients[0], input_, weight_C, mean_C, var_C, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.cat([grad_weight_C, grad_bias_C]).double()
        sum_in_place(sums)
        along_C, mean_grad_C = (sums / count).chunk(2)
        inverse_C = (var_C.double() + ctx.eps).rsqrt()
        slope_C = -weight_C * inverse_C.square() * along_C
        shift_C = -weight_C * inverse_C * mean_grad_C - slope_C * mean_C
        shape = (1, -1, *(1,) * (input_.ndim - 2))
        grad_input = torch.addcmul(grad_input, input_, slope_C.to(grad_input).reshape(shape))
        return grad_input.add_(shift_C.to(grad_input).reshape(shape)), grad_weight_C, grad_bias_C, None
