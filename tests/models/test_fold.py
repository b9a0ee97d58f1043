from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.models.fold import fold_batch_norm


@pytest.mark.parametrize("arch", ["tiny", "mobilenet_v3_small", "tf_mobilenetv3_small_100", "squeezenet1_1"])
def test_folding_removes_every_norm_and_keeps_the_outputs(lively, arch):
    model, spec = lively(arch)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norm(model, spec.input_chw)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    images_NCHW = torch.randn(4, *spec.input_chw, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(folded(images_NCHW), model(images_NCHW), atol=1e-3, rtol=1e-3)


def test_training_mode_is_left_as_it_was(lively):
    model, spec = lively("tiny")
    model.train()
    folded = fold_batch_norm(model, spec.input_chw)
    assert model.training
    assert not folded.training
