from __future__ import annotations

import asyncio
from time import monotonic

import numpy as np
import pytest

from compress.errors import StageError
from compress.runtime.onnx_predictor import OnnxPredictor
from compress.serve.core.deadline import Deadline
from compress.serve.core.decode_budget import DecodeBudget
from compress.serve.core.inference import Inference
from compress.serve.core.work import (
    InferenceJob,
    best,
    can_batch,
    looks_like_an_image,
    max_batch,
    predictions,
    run_jobs,
)


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


def image_work(model: Inference, body: bytes, timeout_ms: int = 60_000) -> InferenceJob:
    loop = asyncio.new_event_loop()
    try:
        return InferenceJob(loop.create_future(), monotonic(), model, Deadline(timeout_ms), body)
    finally:
        loop.close()


def test_a_model_that_answers_nonsense_is_500(onnx_file, image, monkeypatch):
    inference = Inference(onnx_file, 1)
    monkeypatch.setattr(OnnxPredictor, "predict_pixels", lambda *_: np.full((1, 3), np.nan, np.float32))
    job = image_work(inference, image())
    run_jobs([job], DecodeBudget())
    assert job.answer is None
    assert (job.fault.status, job.fault.code) == (500, "bad_model_output")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_every_readable_format_is_known_by_its_first_bytes(onnx_file, image, kind):
    body = image((20, 60, 230), kind=kind)
    assert looks_like_an_image(body)
    model = Inference(onnx_file, 1)
    job = image_work(model, body)
    run_jobs([job], DecodeBudget())
    assert job.fault is None
    assert [one.label for one in predictions(job.answer, model.spec, 1)] == ["blue"]


def test_in_a_batch_the_bad_and_the_late_fail_alone(onnx_file, image):
    model = Inference(onnx_file, 1)
    jobs = [
        image_work(model, image((220, 60, 20))),
        image_work(model, image()[:200]),
        image_work(model, b"hello"),
        image_work(model, image(), timeout_ms=0),
        image_work(model, image((20, 60, 230))),
    ]
    run_jobs(jobs, DecodeBudget())
    assert [job.fault and job.fault.status for job in jobs] == [None, 422, 415, 504, None]
    assert [int(job.answer.argmax()) for job in (jobs[0], jobs[4])] == [0, 2]


def test_a_fault_of_ours_is_told_to_all_of_the_batch_and_kept_for_the_log(onnx_file, image, monkeypatch):
    model = Inference(onnx_file, 1)
    monkeypatch.setattr(model, "answers", lambda *_: 1 / 0)
    jobs = [image_work(model, image()) for _ in range(2)]
    run_jobs(jobs, DecodeBudget())
    assert [(job.fault.code, type(job.error)) for job in jobs] == [("internal", ZeroDivisionError)] * 2


def test_tensors_are_inferred_as_they_come(onnx_file):
    model = Inference(onnx_file, 1)
    images_NCHW = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    job = image_work(model, images_NCHW)
    run_jobs([job], DecodeBudget())
    np.testing.assert_array_equal(job.outputs, model.predict(images_NCHW))


def test_only_images_for_one_model_share_a_call(onnx_file, tflite_file, image):
    one, other = Inference(onnx_file, 1), Inference(tflite_file, 1)
    one.max_batch = 8
    first, same = image_work(one, image()), image_work(one, image())
    tensors = image_work(one, np.zeros((1, 3, 32, 32), np.float32))
    assert (max_batch(first), max_batch(tensors), max_batch(image_work(other, image()))) == (8, 1, 1)
    assert (can_batch(first, same), can_batch(first, tensors), can_batch(first, image_work(other, image()))) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize("body", [b"RIFF\x00\x00\x00\x00WAVE", b"<svg/>", b"%PDF-1.7", b"\xff\xd8", b"ftypheic"])
def test_other_bytes_are_not_an_image(body):
    assert not looks_like_an_image(body)


def test_what_is_too_late_to_begin_is_no_work(onnx_file, image):
    model = Inference(onnx_file, 1)
    late, bad = image_work(model, image(), timeout_ms=0), image_work(model, b"hello")
    run_jobs([late], DecodeBudget())
    run_jobs([bad], DecodeBudget())
    assert (late.worked, bad.worked) == (False, True)
