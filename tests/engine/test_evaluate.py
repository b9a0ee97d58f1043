from __future__ import annotations

import numpy as np
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.engine.evaluate import top1_pct, torch_logits

PREPROCESS = Preprocess(resize_px=16, crop_px=16)
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


def test_logits_are_those_of_eval_mode_whatever_the_batch_and_modes_are_restored():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(784, 3))
    model[1].eval()
    whole, split = (torch_logits(model, PIXELS, PREPROCESS, batch=batch) for batch in (7, 3))
    assert model.training
    assert not model[1].training
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(normalize(PIXELS, PREPROCESS))).numpy()
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    np.testing.assert_allclose(split, whole, atol=1e-4)


def test_top1_counts_in_percent():
    logits = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    assert top1_pct(logits, (1, 0, 0, 0)) == 75.0
