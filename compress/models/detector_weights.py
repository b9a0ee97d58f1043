"""Weights of detectors: of a whole one, or of its backbone alone as classifiers are published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from compress.core.names import few
from compress.errors import ModelFileError, UsageError
from compress.models.arch_names import FRESH
from compress.models.build import arch_info, build_model
from compress.models.detectors import DETECTORS, detector_info, new_detector_spec
from compress.models.published import published_weights
from compress.models.tf_ssdlite import MARK, renamed
from compress.models.weights import IMAGENET, read_weights, require_finite

BACKBONE = "backbone."
_COUNTER = "num_batches_tracked"


def load_detector(model: nn.Module, arch: str, weights: str) -> str:
    """Load saved weights into a fresh detector, in place, and return what was found in them, in words.

    Whatever the file holds beside the layers of this detector (a classifier) is left. Heads for another number of
    classes stay fresh.

    Args:
        model: the network.
        arch: its key in `DETECTORS`.
        weights: "none" (nothing is done), "imagenet" (its backbone's, downloaded by timm), or a file: of a detector
            like this one, or of a classifier on its backbone.

    Raises:
        DataError: the download failed.
        UsageError: nobody publishes any for this backbone.
        ModelFileError: the file is damaged, or a tensor of the backbone is missing or of another shape.
    """
    if weights == FRESH:
        return "nothing: it learns from scratch"
    own = model.state_dict()
    tensors = _published(arch) if weights == IMAGENET else _tensors_of(Path(weights))
    require_finite(tensors, weights)
    whole = any(name.startswith(BACKBONE) for name in tensors)
    if not whole:
        tensors = {f"{BACKBONE}{name}": tensor for name, tensor in tensors.items()}
    taken = {name: tensors[name] for name in own if name in tensors and tensors[name].shape == own[name].shape}
    _require_backbone(own, taken, weights)
    model.load_state_dict({**own, **taken})
    fresh = sorted({name.split(".")[0] for name in own.keys() - taken.keys() if not name.endswith(_COUNTER)})
    return ("a detector" if whole else "its backbone") + (f"; fresh are {few(fresh)}" if fresh else "")


def fitting_detectors(path: Path) -> list[str]:
    """Return the detectors that a file of weights holds the backbone of; none where it is a backbone alone.

    Raises:
        ModelFileError: the file is damaged.
    """
    tensors = _tensors_of(path)
    if not any(name.startswith(BACKBONE) for name in tensors):
        return []
    found = []
    for arch in DETECTORS:
        own = build_model(new_detector_spec(arch, ("any",))).state_dict()
        names = [name for name in own if name.startswith(BACKBONE) and not name.endswith(_COUNTER)]
        if all(name in tensors and tensors[name].shape == own[name].shape for name in names):
            found.append(arch)
    return found


def _tensors_of(path: Path) -> dict[str, Tensor]:
    tensors = read_weights(path)
    return renamed(tensors) if MARK in tensors else tensors


def _published(arch: str) -> dict[str, Tensor]:
    info = detector_info(arch)
    if info.backbone is None or not info.has_published:
        raise UsageError(
            f"nobody publishes ImageNet weights of the backbone of '{arch}', padded as TensorFlow pads",
            hint="use `weights: FILE.safetensors`, or `weights: none`",
        )
    return published_weights(info.backbone, arch_info(info.backbone))


def _require_backbone(own: Mapping[str, Tensor], taken: Mapping[str, Tensor], weights: str) -> None:
    wanted = [name for name in own if name.startswith(BACKBONE) and not name.endswith(_COUNTER)]
    missing = [f"'{name.removeprefix(BACKBONE)}'" for name in wanted if name not in taken]
    if missing:
        raise ModelFileError(
            f"{weights}: not the weights of this detector's backbone: {len(missing)} of {len(wanted)} tensors are "
            f"missing or of another shape ({few(missing, 3)})",
            hint="give a file of the same backbone, or of a whole detector like it; or `weights: none`",
        )
