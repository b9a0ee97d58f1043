from __future__ import annotations

import numpy as np
import pytest

from compress.data.transforms import normalize, read_pixels
from evals.serve.baseline_model import BaselineModel
from tests.colours import SPEC, colours_file, jpeg


@pytest.mark.parametrize("size", [(500, 400), (33, 90)])
def test_a_baseline_sees_the_same_pixels_and_answers_the_same(tmp_path, size):
    model, body = BaselineModel(colours_file(tmp_path / "model.onnx")), jpeg(size)
    ours_NCHW = normalize(read_pixels(body, SPEC.preprocess)[None], SPEC.preprocess)
    np.testing.assert_allclose(model._pixels(body), ours_NCHW, atol=1e-5)
    logits_K = ours_NCHW.mean(axis=(0, 2, 3))
    shares_K = np.exp(logits_K) / np.exp(logits_K).sum()
    found = {row["label"]: row["score"] for row in model.classify(body)["predictions"]}
    assert found == pytest.approx(dict(zip(SPEC.labels, shares_K, strict=True)), rel=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)
