from __future__ import annotations

import numpy as np
import pytest

from compress.errors import StageError
from compress.serve.deadline import Deadline
from compress.serve.errors import RequestError
from compress.serve.inference import Inference
from compress.serve.logic import Classifier, best, looks_like_an_image


def test_best_is_softmax_greatest_first():
    logits = np.array([1.0, 3.0, 2.0, -5.0], np.float32)
    shares = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
    found = best(logits, 3)
    assert [index for index, _ in found] == [1, 2, 0]
    assert [score for _, score in found] == pytest.approx([shares[1], shares[2], shares[0]], rel=1e-12)


def test_best_of_all_sums_to_one_even_for_huge_logits_and_keeps_order_of_equals():
    found = best(np.array([1e30, 1e30, -1e30], np.float32), 99)
    assert found == [(0, 0.5), (1, 0.5), (2, 0.0)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_best_refuses_numbers_that_have_no_order(bad):
    with pytest.raises(StageError, match="not finite"):
        best(np.array([1.0, bad], np.float32), 1)


def test_a_model_that_answers_nonsense_is_500(onnx_file, picture, monkeypatch):
    inference = Inference(onnx_file, 1)
    monkeypatch.setattr(inference, "predict", lambda _: np.full((1, 3), np.nan, np.float32))
    with pytest.raises(RequestError) as caught:
        Classifier(inference).classify(picture(), 1, Deadline(60_000))
    assert (caught.value.status, caught.value.code) == (500, "bad_model_output")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_readable_format_is_known_by_its_first_bytes(onnx_file, picture, kind):
    body = picture((20, 60, 230), kind=kind)
    assert looks_like_an_image(body)
    answer = Classifier(Inference(onnx_file, 1)).classify(body, 1, Deadline(60_000))
    assert [p.label for p in answer.predictions] == ["blue"]


@pytest.mark.parametrize("body", [b"RIFF\x00\x00\x00\x00WAVE", b"<svg/>", b"%PDF-1.7", b"\xff\xd8", b"ftypheic"])
def test_other_bytes_are_not_an_image(body):
    assert not looks_like_an_image(body)
