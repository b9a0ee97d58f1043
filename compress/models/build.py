"""From a `ModelSpec` to a network and back: the stock architecture, re-shaped by the layer table; sizes counted.

A pruned network is its architecture plus one row per Conv2d, BatchNorm2d and Linear, so no pickle is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from compress.core.names import few
from compress.core.preprocess import Interpolation, Preprocess
from compress.core.spec import LayerShape, ModelSpec
from compress.errors import ModelFileError
from compress.models.archs import ARCHS, ArchInfo, Channels, entry_of
from compress.models.detectors import detector_info


def arch_info(arch: str) -> ArchInfo:
    """Return the entry of `ARCHS`.

    Raises:
        UsageError: no such architecture; the hint names the nearest.
    """
    return entry_of(ARCHS, arch, "architecture")


def new_spec(
    arch: str,
    labels: Sequence[str],
    input_px: int | None = None,
    *,
    resize_px: int | None = None,
    interpolation: Interpolation | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
) -> ModelSpec:
    """Return the spec of a fresh network; what is not given comes from the architecture's published weights.

    Args:
        arch: a key of `ARCHS`.
        labels: class names in index order.
        input_px: side of the square input; default the architecture's own.
        resize_px: short side after resizing; default `input_px / crop_pct` of the architecture.
        interpolation: filter of the resize.
        mean: per channel, of values in 0..1.
        std: per channel, of values in 0..1.
    """
    info = arch_info(arch)
    crop_px = input_px or info.input_px
    preprocess = Preprocess(
        resize_px=resize_px or round(crop_px / info.crop_pct),
        crop_px=crop_px,
        interpolation=interpolation or info.interpolation,
        mean=mean or info.mean,
        std=std or info.std,
    )
    return ModelSpec(arch=arch, labels=tuple(labels), input_chw=(3, crop_px, crop_px), preprocess=preprocess)


def build_model(spec: ModelSpec, *, seed: int = 0) -> nn.Module:
    """Return the network of a spec, freshly initialised from `seed`, in training mode, on the CPU.

    Raises:
        UsageError: the architecture is unknown.
        ModelFileError: the layer table does not fit the architecture.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _stock(spec)
    if spec.layers:
        _reshape(model, spec)
    return model


def _stock(spec: ModelSpec) -> nn.Module:
    """Return the network before any layer is re-shaped."""
    if spec.boxes is not None:
        return detector_info(spec.arch).build(spec.boxes, spec.num_classes)
    return arch_info(spec.arch).build(spec.num_classes)


def output_modules(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of the layers that give the answers: none of their outputs may go."""
    return detector_info(spec.arch).output_layers(spec.boxes) if spec.boxes else (arch_info(spec.arch).head,)


def head_modules(spec: ModelSpec) -> tuple[str, ...]:
    """Return the names of the modules that published weights do not bring: a classifier, or a detector's heads."""
    return detector_info(spec.arch).heads if spec.boxes else (arch_info(spec.arch).head,)


def stem_module(spec: ModelSpec) -> str:
    """Return the name of the first convolution."""
    return detector_info(spec.arch).stem if spec.boxes else arch_info(spec.arch).stem


def layer_table(model: nn.Module) -> tuple[LayerShape, ...]:
    """Return one row per Conv2d, BatchNorm2d and Linear, in module order."""
    rows = (_row(name, module) for name, module in model.named_modules())
    return tuple(row for row in rows if row is not None)


def describe(model: nn.Module, spec: ModelSpec) -> ModelSpec:
    """Return the spec with layer table, parameters and MACs of this very network."""
    return spec.model_copy(
        update={
            "layers": layer_table(model),
            "params": count_params(model),
            "macs": count_macs(model, spec.input_chw),
        }
    )


def count_params(model: nn.Module) -> int:
    """Return the number of learned parameters (batch-norm statistics are not learned)."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_chw: tuple[int, int, int]) -> int:
    """Return the multiply-accumulates of one image in Conv2d and Linear layers; all else is not counted."""
    macs = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        weight: Tensor = module.weight  # type: ignore[assignment]  # nn.Module is untyped here
        # each output value costs one multiply-accumulate per weight of its channel
        macs += output[0].numel() * prod(weight.shape[1:])

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    pass_blank_image(model, input_chw, hooks)
    return macs


def pass_blank_image(model: nn.Module, input_chw: tuple[int, int, int], hooks: Sequence[RemovableHandle]) -> None:
    """Pass one blank image through the model in eval mode, for its hooks to see, which are then removed."""
    try:
        with evaluating(model), torch.no_grad():
            model(torch.zeros(1, *input_chw, device=next(model.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold the network in eval mode, then give every module its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _row(name: str, module: nn.Module) -> LayerShape | None:
    if isinstance(module, nn.Conv2d):
        shape = {"in_features": module.in_channels, "out_features": module.out_channels, "groups": module.groups}
        return LayerShape(name=name, kind="conv", **shape)
    if isinstance(module, nn.BatchNorm2d):
        return LayerShape(name=name, kind="bn", in_features=module.num_features, out_features=module.num_features)
    if isinstance(module, nn.Linear):
        return LayerShape(name=name, kind="linear", in_features=module.in_features, out_features=module.out_features)
    return None


def _reshape(model: nn.Module, spec: ModelSpec) -> None:
    stock = {row.name: row for row in layer_table(model)}
    wanted = {row.name: row for row in spec.layers}
    if odd := sorted(stock.keys() ^ wanted.keys()):
        raise ModelFileError(f"the layer table does not fit '{spec.arch}': {_first(odd)} only on one side")
    for head in output_modules(spec):
        if wanted[head].out_features != stock[head].out_features:
            raise ModelFileError(
                f"the layer table does not fit {spec.num_classes} labels: '{head}' gives {wanted[head].out_features} "
                f"numbers, and {stock[head].out_features} are wanted"
            )
    for name, row in wanted.items():
        if row == stock[name]:
            continue
        if not _fits(row, stock[name]):
            raise ModelFileError(f"layer '{name}' cannot be {row}: the stock layer of '{spec.arch}' is {stock[name]}")
        _shrink(model.get_submodule(name), row)


def _fits(row: LayerShape, stock: LayerShape) -> bool:
    """Say whether the row is the stock layer with channels taken away."""
    positive = min(row.in_features, row.out_features, row.groups) > 0
    divides = row.in_features % row.groups == 0 and row.out_features % row.groups == 0
    narrower = row.in_features <= stock.in_features and row.out_features <= stock.out_features
    per_group = row.in_features * stock.groups <= stock.in_features * row.groups
    return positive and row.kind == stock.kind and divides and narrower and per_group


def _shrink(module: nn.Module, row: LayerShape) -> None:
    """Cut a layer down to the row, keeping its leading channels, and its class (timm's are subclasses)."""
    if isinstance(module, nn.Conv2d):
        module.in_channels, module.out_channels, module.groups = row.in_features, row.out_features, row.groups
    elif isinstance(module, nn.BatchNorm2d):
        module.num_features = row.out_features
    elif isinstance(module, nn.Linear):
        module.in_features, module.out_features = row.in_features, row.out_features
    inputs = row.in_features // row.groups
    for name, parameter in list(module.named_parameters(recurse=False)):
        kept = parameter.data[: row.out_features]
        kept = kept[:, :inputs] if parameter.ndim > 1 else kept
        setattr(module, name, nn.Parameter(kept.clone()))
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.ndim:
            setattr(module, name, buffer[: row.out_features].clone())


def _first(names: Sequence[str], count: int = 6) -> str:
    """Return the first names for a message, and how many more there are."""
    return few([f"'{name}'" for name in names], count)
