from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from compress.core.digest import sha256_file
from compress.errors import ModelFileError, UsageError
from compress.runtime.open import open_predictor
from compress.serve.core import inference as module
from compress.serve.core.inference import Inference


def test_says_what_it_serves(onnx_file, spec):
    inference = Inference(onnx_file, 1)
    assert (inference.name, inference.spec) == ("colours", spec)
    assert inference.version == sha256_file(onnx_file)[:12]
    assert inference.runtime.startswith("onnxruntime")


def test_both_formats_answer_from_many_threads(onnx_file, tflite_file):
    images = [np.full((1, 3, 32, 32), i, np.float32) + np.arange(3, dtype=np.float32)[:, None, None] for i in range(64)]
    for path in (onnx_file, tflite_file):
        inference = Inference(path, 3)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(inference.predict, images))
        for i, (logits_NK,) in enumerate(answers):
            np.testing.assert_allclose(logits_NK, [[i, i + 1, i + 2]], rtol=1e-5)


class _Busy:
    """A predictor that notices a second caller."""

    def __init__(self, inner):
        self.spec, self.runtime, self.inner = inner.spec, inner.runtime, inner
        self.lock = threading.Lock()

    def predict(self, images_NCHW):
        assert self.lock.acquire(blocking=False), "two threads in one interpreter"
        try:
            return self.inner.predict(images_NCHW)
        finally:
            self.lock.release()


def test_a_litert_interpreter_serves_one_thread_at_a_time(tflite_file, monkeypatch):
    opened = []

    def opener(path, *, threads, content, **_):
        assert threads == 1
        opened.append(_Busy(open_predictor(path, threads=threads, content=content)))
        return opened[-1]

    monkeypatch.setattr(module, "open_predictor", opener)
    inference = Inference(tflite_file, 3)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(inference.predict, [np.zeros((1, 3, 32, 32), np.float32)] * 200))
    assert len(opened) == 3


def test_an_onnx_session_is_opened_once_and_shared(onnx_file, monkeypatch):
    opened = []
    monkeypatch.setattr(module, "open_predictor", lambda *a, **k: opened.append(open_predictor(*a, **k)) or opened[-1])
    Inference(onnx_file, 4)
    assert len(opened) == 1


def test_a_failed_call_gives_its_predictor_back(onnx_file):
    inference = Inference(onnx_file, 1)
    for _ in range(3):  # would block for ever at the second were the predictor lost
        with pytest.raises(Exception, match="shape"):
            inference.predict(np.zeros((1, 3, 5, 5), np.float32))


def test_refuses_a_torch_file_with_a_hint(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"model\.safetensors: a torch file") as caught:
        Inference(path, 1)
    assert caught.value.exit_code == 2
    assert "imgc export" in caught.value.hint


def test_refuses_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no such model file") as caught:
        Inference(tmp_path / "model.onnx", 1)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.bin"])
def test_refuses_a_damaged_or_unknown_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x00garbage" * 9)
    with pytest.raises(ModelFileError, match=name):
        Inference(path, 1)


def test_refuses_labels_that_do_not_fit_the_answer(tmp_path, spec, onnx_bytes):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(spec.model_copy(update={"labels": ("red", "green")})))
    with pytest.raises(ModelFileError, match="2"):
        Inference(path, 1)
