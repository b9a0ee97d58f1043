"""Several processes train one model: torch.distributed's collectives, as few as a fit needs. Alone, all do nothing.

Gradients are added up by hand, not by DistributedDataParallel. DDP renames every module, must be told of parameters
that get no gradient, and averages with equal weights; here every process takes its share of the same whole batch
(shares may differ by an image) and weights its loss by it, so that the sum of the gradients is the gradient of the
whole batch. One flat buffer a step carries all gradients and the loss: for nets of a few MB one all-reduce is cheaper
than the overlap that DDP's buckets buy. With BatchNorm over the whole batch too (see `sync_batch_norm`),
several processes compute what one would, but for the order of sums.

Two groups: collectives of a fit must answer within `_FIT_TIMEOUT`; orders may wait for as long as a stage lasts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from compress.core.cores import usable_cores
from compress.distributed.process_rank import ProcessRank
from compress.errors import StageError

_FIT_TIMEOUT = timedelta(minutes=30)
_ORDER_TIMEOUT = timedelta(days=30)
_TORCHRUN_THREADS = "1"  # what torchrun sets OMP_NUM_THREADS to where the user did not
_orders: dist.ProcessGroup | None = None  # set by `join`


class LostPeerError(StageError):
    """Another process of the run is gone."""


def lost_peer() -> LostPeerError:
    """Return the error that says what happened and how to go on."""
    again = f"torchrun --nproc-per-node {os.environ.get('LOCAL_WORLD_SIZE', '1')} -m compress run --resume"
    return LostPeerError(
        "another process of this run ended or cannot be reached, so the training cannot go on",
        hint=f"sealed stages and the last whole epoch are kept: `{again}` goes on from there, and so does "
        "`imgc run --resume` with one process",
    )


def join(process_rank: ProcessRank) -> None:
    """Join the processes that torchrun started: gloo between CPUs, nccl between GPUs.

    The cores that this process may use are shared among the processes of this machine.
    """
    global _orders
    if os.environ.get("OMP_NUM_THREADS", _TORCHRUN_THREADS) == _TORCHRUN_THREADS:
        torch.set_num_threads(max(1, usable_cores() // process_rank.local_world_size))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _peers():
        dist.init_process_group(backend, timeout=_FIT_TIMEOUT)
        group = dist.new_group(backend="gloo", timeout=_ORDER_TIMEOUT)
    _orders = group if isinstance(group, dist.ProcessGroup) else None


def leave() -> None:
    """Leave them, without waiting for anyone."""
    global _orders
    _orders = None
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process, 0 when alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_device(device: str, process_rank: ProcessRank) -> str:
    """Return the device of a process where `device` is asked for: each one of a machine has its own GPU."""
    return f"cuda:{process_rank.local_rank}" if device == "cuda" and process_rank.world_size > 1 else device


def share_of(n: int) -> np.ndarray:
    """Return which of the `n` images of a batch are this process's, ascending.

    The stride mixes the classes of a batch that is sorted by the places of its images.
    """
    return np.arange(rank(), n, world_size())


def add_gradients(model: nn.Module, loss: float, device: torch.device) -> float:
    """Put the sum of all processes' gradients in place of this one's; return the sum of their losses.

    Args:
        model: after the backward pass; a parameter without gradient in all processes keeps none.
        loss: of this process.
        device: of the model.
    """
    if world_size() == 1:
        return loss
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    tail = torch.tensor([float(p.grad is not None) for p in learning] + [loss], device=device)
    pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
    flat = torch.cat([*(_flat(piece) for piece in pieces), tail])
    sum_in_place(flat)
    *gradients, tail = torch.split(flat, [*(p.numel() for p in learning), len(tail)])
    for parameter, gradient, count in zip(learning, gradients, tail[:-1].tolist(), strict=True):
        if count:
            parameter.grad = gradient.as_strided(parameter.size(), parameter.stride()).to(parameter.dtype)
    return float(tail[-1])


def sum_in_place(values: torch.Tensor) -> None:
    """Replace values by their sums over all processes."""
    with _peers():
        dist.all_reduce(values)


def add_up(counts: Sequence[int]) -> list[int]:
    """Return the sums of these counts over all processes, exactly."""
    if world_size() == 1:
        return list(counts)
    total = torch.tensor(counts, dtype=torch.int64)
    sum_in_place(total)
    return [int(value) for value in total]


def require_equal(digest: str, otherwise: str) -> None:
    """Return if every process came with the same hexadecimal digest.

    Raises:
        StageError: they did not; `otherwise` says what that means.
    """
    if world_size() == 1:
        return
    mine = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
    seen = [torch.empty_like(mine) for _ in range(world_size())]
    with _peers():
        dist.all_gather(seen, mine)
    if not all(torch.equal(other, mine) for other in seen):
        raise StageError(
            f"the processes of this run disagree: {otherwise}",
            hint="give all of them the same code, libraries and images",
        )


def from_first(data: bytes) -> bytes:
    """Return what process 0 gives; what the others give does not count."""
    if world_size() == 1:
        return data
    length = torch.tensor([len(data)])
    with _peers():
        dist.broadcast(length, 0, group=_orders)
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if rank() == 0 else _room(int(length))
        dist.broadcast(content, 0, group=_orders)
    return content.numpy().tobytes()


def first_to_tell() -> bool:
    """Return whether nobody has told of a failure yet; from now on somebody has.

    torchrun's own store keeps the count, which outlives any process. Without it, everybody tells.
    """
    try:
        return dist.distributed_c10d._get_default_store().add("imgc/told", 1) == 1
    except (RuntimeError, ValueError):
        return True


@contextmanager
def _peers() -> Iterator[None]:
    """Turn the collectives' errors into one that says what happened and how to go on."""
    try:
        yield
    except RuntimeError as error:
        raise lost_peer() from error


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return the values in the order in which they lie in memory, channels_last or not, without a copy."""
    return tensor.as_strided((tensor.numel(),), (1,))


def _room(size: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.uint8)
