"""Over one process the whole batch is the share: everything must equal torch's own. Over two: see test_distributed."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from compress.distributed import sync_batch_norm
from compress.distributed.sync_batch_norm import WholeBatch


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_batch_norm, "sum_in_place", lambda values: None)


@pytest.mark.parametrize("shape", [(6, 4, 5, 7), (9, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_and_its_gradients_are_torch_s_own(shape, affine):
    torch.manual_seed(0)
    images = (torch.randn(shape) * 3 + 2).requires_grad_()
    into = torch.randn(shape)
    results = []
    for shared in (False, True):
        norm = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(4, affine=affine, momentum=0.3)
        images.grad = None
        if shared:
            with WholeBatch(len(images)):
                output = norm(images)
        else:
            output = norm(images)
        (output * into).sum().backward()
        results.append([output.detach(), images.grad, *(p.grad for p in norm.parameters()), *norm.buffers()])
    for own, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(own, expected, atol=2e-5, rtol=2e-5)


def test_frozen_batch_norm_uses_and_keeps_its_running_statistics():
    norm = nn.BatchNorm2d(3).eval()
    norm.running_mean.fill_(2.0)
    images = torch.randn(4, 3, 5, 5)
    with WholeBatch(4):
        assert torch.equal(norm(images), F.batch_norm(images, norm.running_mean, norm.running_var, *norm.parameters()))
    assert norm.running_mean.tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_draws_what_torch_draws(p):
    values = torch.randn(8, 16)
    torch.manual_seed(5)
    expected = F.dropout(values, p)
    torch.manual_seed(5)
    with WholeBatch(8):
        assert torch.equal(F.dropout(values, p), expected)
        assert F.dropout(values, p, training=False) is values
