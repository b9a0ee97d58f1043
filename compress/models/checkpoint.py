"""Tensors out of the files that training scripts leave, without running anything that is in them.

Known are plain state_dicts, and what timm, torchvision's reference script, PyTorch's ImageNet example and Lightning
write around one: other entries beside it, with the script's arguments as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises; nothing is unpickled here
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from compress.errors import ModelFileError
from compress.models.arch_names import CHECKPOINT_SUFFIXES
from compress.models.tensor_names import unwrapped

# In this order: the mean over the last steps of training is what its script validates and publishes.
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
_ENTRIES = (*_AVERAGES, "state_dict", "model", "model_state_dict", "net", "weights")
_AVERAGE_COUNTER = "n_averaged"  # beside the tensors of torch's AveragedModel


class _Inert:
    """Stands for an object of a class that only holds data: whatever is done to it, nothing happens."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take anything."""

    def __setstate__(self, state: object) -> None:
        """Take anything."""


# class or function in a file -> what stands for it; everything else but tensors is refused
_DATA: dict[str, type] = {
    "argparse.Namespace": _Inert,
    "numpy._core.multiarray.scalar": _Inert,
    "numpy.core.multiarray.scalar": _Inert,
    "numpy.dtype": _Inert,
    "pathlib.Path": _Inert,
    "pathlib.PosixPath": _Inert,
    "pathlib.WindowsPath": _Inert,
    "pathlib._local.PosixPath": _Inert,
    "pytorch_lightning.utilities.parsing.AttributeDict": dict,
    "lightning.pytorch.utilities.parsing.AttributeDict": dict,
    "lightning_fabric.utilities.data.AttributeDict": dict,
    "lightning.fabric.utilities.data.AttributeDict": dict,
}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth, .pt, .ckpt or .pth.tar file by name, without wrappers and prefixes.

    Where there are averaged (EMA) weights beside others, the averaged ones are taken, as their scripts do.

    Raises:
        ModelFileError: no such file, damaged, of another kind, or holding what is neither tensors nor known data.
    """
    if not path.name.lower().endswith(CHECKPOINT_SUFFIXES):
        allowed = ", ".join((".safetensors", *CHECKPOINT_SUFFIXES))
        raise ModelFileError(
            f"{path}: not a weights file by its name (found suffix '{path.suffix}', allowed {allowed})"
        )
    content = _entry(_content(path))
    if not isinstance(content, Mapping) or not content:
        raise ModelFileError(f"{path}: holds no state_dict (a mapping from names to tensors)")
    tensors = {str(name): value for name, value in content.items() if name != _AVERAGE_COUNTER}
    if others := [name for name, value in tensors.items() if not isinstance(value, Tensor)]:
        raise ModelFileError(
            f"{path}: holds no state_dict (a mapping from names to tensors): '{others[0]}' is no tensor",
            hint=f"save the state_dict alone, or under one of {', '.join(_ENTRIES)}",
        )
    return {name: tensors[whole] for whole, name in unwrapped(tensors).items()}


def averages_in(path: Path) -> str | None:
    """Return which entry of a checkpoint holds averaged (EMA) weights, where others lie beside them; else None."""
    if not path.name.lower().endswith(CHECKPOINT_SUFFIXES):
        return None
    content = _content(path)
    entries = [name for name in _ENTRIES if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)]
    return entries[0] if len(entries) > 1 and entries[0] in _AVERAGES else None


def _content(path: Path) -> Any:  # noqa: ANN401 - whatever was saved
    try:
        with safe_globals([(stand_in, name) for name, stand_in in _DATA.items()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: no such file") from error
    except (OSError, RuntimeError, EOFError, ValueError, AttributeError, TypeError, UnpicklingError) as error:
        raise ModelFileError(f"{path}: {_why(path, error)}", hint=_SAVE_AGAIN) from error


_SAVE_AGAIN = "save it again as a plain state_dict, best as .safetensors"


def _why(path: Path, error: BaseException) -> str:
    """Return what is in the file that is not data, else the first line of the error."""
    try:
        foreign = sorted(set(get_unsafe_globals_in_checkpoint(path)) - set(_DATA))
    except Exception:  # no archive of torch's at all, or an old one
        foreign = []
    if foreign:
        more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
        return f"holds objects that are neither tensors nor plain data: {', '.join(foreign[:3])}{more}"
    return f"cannot be read as weights (damaged): {(str(error).strip() or type(error).__name__).splitlines()[0]}"


def _entry(content: Any) -> Any:  # noqa: ANN401 - whatever was saved
    """Return the state_dict in what was saved: itself, or an entry of it."""
    while isinstance(content, Mapping):
        name = next((key for key in _ENTRIES if isinstance(content.get(key), Mapping) and content[key]), None)
        if name is None:
            break
        content = content[name]
    return content
