from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.models.arch_names import ARCH_NAMES
from compress.models.archs import ARCHS
from compress.models.build import arch_info, build_model, count_params, new_spec


def test_the_light_list_names_every_architecture():
    assert tuple(ARCHS) == ARCH_NAMES


@pytest.mark.parametrize("arch", ARCH_NAMES)
def test_each_architecture_is_what_its_entry_says(arch):
    info = arch_info(arch)
    spec = new_spec(arch, ["a", "b", "c"], 64)
    model = build_model(spec).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    head, stem = model.get_submodule(info.head), model.get_submodule(info.stem)
    assert isinstance(stem, nn.Conv2d)
    assert stem.in_channels == 3
    assert (head.out_channels if isinstance(head, nn.Conv2d) else head.out_features) == 3


@pytest.mark.parametrize("arch", [name for name in ARCH_NAMES if ARCHS[name].imagenet == "timm"])
def test_preprocessing_is_what_timm_says_of_its_weights(arch):
    timm = pytest.importorskip("timm")
    published = timm.get_pretrained_cfg(arch)
    info = arch_info(arch)
    assert (info.mean, info.std) == (published.mean, published.std)
    assert (info.interpolation, info.crop_pct) == (published.interpolation, published.crop_pct)
    assert info.input_px == published.input_size[1]


def test_tiny_fits_half_a_megabyte_of_int8():
    model = build_model(new_spec("tiny", ["ok"] * 10))
    assert count_params(model) < 400_000
    assert not any(isinstance(module, nn.Hardswish) for module in model.modules())


@pytest.mark.parametrize("arch", ARCH_NAMES)
def test_batch_norm_follows_a_short_schedule(arch):
    momenta = {m.momentum for m in ARCHS[arch].build(3).modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta <= {0.1}
