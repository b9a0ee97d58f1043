from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.quantize.ptq.static import rewritten, swapped
from compress.quantize.qdq.torch_graph import TorchGraph


@pytest.mark.parametrize("way", ["relu6", "relu6_early"])
def test_swapped_hard_swishes_are_another_function_that_the_teacher_is_not(float_model, images_NCHW, way):
    images = torch.from_numpy(images_NCHW)
    original = TorchGraph(float_model)(images).detach().numpy()
    equal, _ = rewritten(float_model, way)
    model, names = swapped(equal, way)
    assert names == ("relu6_for_hard_swish",)
    assert "HardSwish" not in {node.op_type for node in model.graph.node}
    np.testing.assert_allclose(TorchGraph(equal)(images).detach().numpy(), original, atol=2e-6)
    assert np.abs(TorchGraph(model)(images).detach().numpy() - original).max() > 1e-3


def test_an_excluded_hard_swish_is_not_swapped(float_model):
    equal, _ = rewritten(float_model, "relu6", ("swish",))
    model, names = swapped(equal, "relu6", ("swish",))
    assert names == ()
    assert "HardSwish" in {node.op_type for node in model.graph.node}
