"""Any classifier of timm or torchvision by name, with the preprocessing of its published weights. Nothing is fetched.

`ARCHS` is what this project trains, prunes and exports; these networks only answer, as teachers.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import UsageError
from compress.models.arch_names import LIBRARY_PREFIXES
from compress.models.archs import library
from compress.models.weights import load_strictly

_FILTERS = ("bilinear", "bicubic")


def library_model(
    arch: str, labels: Sequence[str], weights: Path, input_px: int | None = None
) -> tuple[nn.Module, ModelSpec]:
    """Return a library's network with the weights of a file, in eval mode, and its spec (without a layer table).

    Args:
        arch: "timm:NAME" or "torchvision:NAME".
        labels: class names in index order.
        weights: .safetensors or .pth file; every tensor must be there and fit.
        input_px: side of the square input; default that of the published weights.

    Raises:
        UsageError: the library has no classifier of that name, or resizes images as we cannot.
        ModelFileError: the weights are damaged, or of another architecture or number of classes.
        BackendMissingError: the library is not installed.
    """
    model, spec = untrained_library_model(arch, labels, input_px)
    load_strictly(model, weights, arch)
    return model.eval(), spec


def untrained_library_model(
    arch: str, labels: Sequence[str], input_px: int | None = None
) -> tuple[nn.Module, ModelSpec]:
    """Return a library's network with random weights and its spec; arguments and errors as `library_model`."""
    library, _, name = arch.partition(":")
    build = {"timm": _timm_net, "torchvision": _torchvision_net}[library]
    model, published = build(name, len(labels), input_px)
    crop_px = input_px or published["crop_px"]
    if published["interpolation"] not in _FILTERS:
        raise UsageError(
            f"{arch}: its images are resized with '{published['interpolation']}'; we have {', '.join(_FILTERS)}"
        )
    preprocess = Preprocess(
        resize_px=max(crop_px, round(crop_px * published["resize_px"] / published["crop_px"])),
        crop_px=crop_px,
        interpolation=published["interpolation"],
        mean=published["mean"],
        std=published["std"],
    )
    return model, ModelSpec(arch=arch, labels=tuple(labels), input_chw=(3, crop_px, crop_px), preprocess=preprocess)


def _timm_net(name: str, num_classes: int, input_px: int | None) -> tuple[nn.Module, dict[str, Any]]:
    timm = library("timm")
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    # a transformer's position table has the size of its input, so it must be built for it
    is_fixed = getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
    options = {"img_size": input_px} if is_fixed and input_px else {}
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes, **options)
    data = library("timm.data").resolve_model_data_config(model)
    crop_px = data["input_size"][1]
    published = {key: data[key] for key in ("mean", "std", "interpolation")}
    return model, {**published, "crop_px": crop_px, "resize_px": crop_px / data["crop_pct"]}


def _torchvision_net(name: str, num_classes: int, input_px: int | None) -> tuple[nn.Module, dict[str, Any]]:
    models = library("torchvision.models")
    names = models.list_models(module=models)  # without detection, segmentation and video
    if name not in names:
        raise _unknown("torchvision", name, names)
    # a transformer's position table has the size of its input, so it must be built for it
    options = {"image_size": input_px} if name.startswith("vit_") and input_px else {}
    model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    return model, {
        "crop_px": transforms.crop_size[0],
        "resize_px": transforms.resize_size[0],
        "interpolation": transforms.interpolation.value,
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
    }


def _unknown(library: str, name: str, names: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(name, names, n=1)
    return UsageError(
        f"{library} has no classifier called '{name}' ({len(names)} others)",
        hint=f"did you mean '{library}:{near[0]}'?" if near else f"allowed: {', '.join(LIBRARY_PREFIXES)} and a name",
    )
