"""Where training starts: a network from published weights, a file or nothing."""

from __future__ import annotations

import torch
from torch import nn

from compress.core.spec import ModelSpec
from compress.core.stage import Reporter
from compress.engine.randomness import Purpose, seeded_torch
from compress.models.arch_names import weight_files
from compress.models.build import arch_info, build_model
from compress.models.checkpoint import averages_in
from compress.models.detector_weights import load_detector
from compress.models.weights import NO_WEIGHTS, load_pretrained

_HEAD_STD = 0.01


def start_model(spec: ModelSpec, weights: str, seed: int) -> nn.Module:
    """Return the network of a spec with these weights; what they are not for is fresh, as for other classes.

    Args:
        spec: of a stock network.
        weights: `imagenet` (downloaded), `none`, or a .safetensors or .pth file.
        seed: of all that is drawn.

    Raises:
        DataError: the weights cannot be downloaded.
        ModelFileError: the weights file is damaged or of another architecture.
    """
    model = build_model(spec, seed=seed)
    if spec.boxes is not None:
        load_detector(model, spec.arch, weights)
        return model
    if weights != NO_WEIGHTS and not load_pretrained(model, spec, weights):
        _calm_head(model.get_submodule(arch_info(spec.arch).head), seed)
    return model


def say_averages(weights: str, reporter: Reporter) -> None:
    """Say that a training script's file holds averaged weights beside others, and that those were taken."""
    for path in weight_files(weights).values():
        if entry := averages_in(path):
            reporter.info(f"{path}: took the averaged weights, '{entry}'; for the others, save their entry alone")


def _calm_head(head: nn.Module, seed: int) -> None:
    """Draw a fresh classifier on pretrained features from N(0, 0.01), bias 0: it starts near the uniform guess.

    timm draws it from +-1/sqrt(classes), which for ten classes gives a first loss above chance, and gradients that
    damage the features before the head has learned anything.
    """
    with torch.no_grad(), seeded_torch(seed, Purpose.HEAD):
        for name, parameter in head.named_parameters():
            parameter.zero_() if name == "bias" else parameter.normal_(std=_HEAD_STD)
