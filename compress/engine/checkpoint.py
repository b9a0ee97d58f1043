"""A training checkpoint: one safetensors file with all tensors, and all the rest as JSON in its metadata.

One file, written beside and renamed, so a kill at any instant leaves the last whole checkpoint: weights, average,
optimizer and epoch always belong together. No pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from safetensors.torch import save_file

from compress.core.storage import atomic_path

CHECKPOINT_FILE = "checkpoint.safetensors"
_META_KEY = "imgc.fit"
Tensors = dict[str, torch.Tensor]


def save_checkpoint(path: Path, groups: Mapping[str, Tensors], meta: dict[str, Any]) -> None:
    """Write all tensors as `group/name` and `meta` as JSON, atomically.

    Args:
        path: the file.
        groups: state dicts by name.
        meta: any JSON value without NaN.
    """
    with atomic_path(path) as temporary:
        save_file(_joined(groups), temporary, metadata={_META_KEY: json.dumps(meta, allow_nan=False)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensors], dict[str, Any]] | None:
    """Return groups and meta as they were saved, or None where there is no checkpoint or it cannot be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            meta = json.loads((file.metadata() or {})[_META_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        return _parted(tensors), meta
    except (SafetensorError, KeyError, ValueError):
        return None


def to_bytes(groups: Mapping[str, Tensors]) -> bytes:
    """Return all tensors as bytes, for another process."""
    return save_bytes(_joined(groups))


def from_bytes(data: bytes) -> dict[str, Tensors]:
    """Return the groups that `to_bytes` was given; an empty one is missing."""
    return _parted(load_bytes(data))


def _joined(groups: Mapping[str, Tensors]) -> Tensors:
    return {
        f"{group}/{name}": tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for group, state in groups.items()
        for name, tensor in state.items()
    }


def _parted(tensors: Tensors) -> dict[str, Tensors]:
    groups: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        group, name = key.split("/", 1)
        groups.setdefault(group, {})[name] = tensor
    return groups


def remove_checkpoint(work_dir: Path) -> None:
    """Remove the checkpoint of a finished fit, so that it is not sealed with the artifact."""
    (work_dir / CHECKPOINT_FILE).unlink(missing_ok=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Return the optimizer's state as `index/key` -> tensor; parameters that never had a gradient have none."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}/{key}": value
        for index, entry in state.items()
        for key, value in entry.items()
        if isinstance(value, torch.Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Put back what `optimizer_tensors` returned; momenta take the memory layout of their parameter.

    The fused kernels walk parameter, gradient and momenta as flat memory: a momentum in another layout than its
    channels_last parameter would silently belong to other weights.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    optimizer.state.clear()
    for name, value in tensors.items():
        index, key = name.split("/", 1)
        parameter = parameters[int(index)]
        placed = (
            torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.to(parameter.device)
        )
        optimizer.state[parameter][key] = placed
