"""PyTorch: the same numbers as the module itself, and torch's global thread count left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compress.core.formats import Format
from compress.data.transforms import normalize
from compress.errors import BackendMissingError, StageError
from compress.models.build import build_model, describe, new_spec
from compress.models.weights import save_model
from compress.runtime.open import open_predictor


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module]:
    spec = new_spec("tiny", ("a", "b", "c"), 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(spec).eval()
    path = tmp_path_factory.mktemp("torch") / "model.safetensors"
    save_model(path, model, describe(model, spec))
    return path, model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 3, 32, 32)).astype(np.float32)


def test_answers_are_the_module_s_in_eval_mode(saved: tuple[Path, torch.nn.Module]) -> None:
    path, model = saved
    predictor = open_predictor(path)
    assert predictor.format is Format.TORCH
    assert predictor.runtime.startswith("torch ")
    with torch.inference_mode():
        wanted = model(torch.from_numpy(images(3))).numpy()
    found = predictor.predict(images(3))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(predictor.predict(images(3)[1:2]), wanted[1:2], atol=1e-5)
    np.testing.assert_array_equal(predictor.prepared(images(3))(), found)  # type: ignore[arg-type]


def test_torch_s_thread_count_is_put_back(saved: tuple[Path, torch.nn.Module]) -> None:
    before = torch.get_num_threads()
    inside: list[int] = []
    predictor: Any = open_predictor(saved[0], threads=before + 1)
    predictor._model.register_forward_hook(lambda *_: inside.append(torch.get_num_threads()))
    predictor.predict(images(1))
    assert inside == [before + 1]
    assert torch.get_num_threads() == before


def test_thread_count_is_put_back_after_an_error(saved: tuple[Path, torch.nn.Module]) -> None:
    before = torch.get_num_threads()
    predictor: Any = open_predictor(saved[0], threads=before + 1)

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    predictor._model.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken"):
        predictor.predict(images(1))
    assert torch.get_num_threads() == before


def test_images_of_another_size_are_refused(saved: tuple[Path, torch.nn.Module]) -> None:
    with pytest.raises(StageError, match=r"\[N, 3, 32, 32\]"):
        open_predictor(saved[0]).predict(np.zeros((1, 3, 64, 64), np.float32))


def test_missing_backend_names_the_extra(saved: tuple[Path, torch.nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendMissingError) as caught:
        open_predictor(saved[0])
    assert caught.value.hint == "pip install 'imgc-toolkit[train]'"


def test_pixels_get_the_answers_of_their_normalized_images_bit_for_bit(saved: tuple[Path, torch.nn.Module]) -> None:
    predictor = open_predictor(saved[0])
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    wanted = predictor.predict(normalize(pixels_NHWC, predictor.spec.preprocess))
    np.testing.assert_array_equal(predictor.predict_pixels(pixels_NHWC), wanted)
    with pytest.raises(StageError, match=r"\[N, 32, 32, 3\]"):
        predictor.predict_pixels(pixels_NHWC[:, :, :, :1])
