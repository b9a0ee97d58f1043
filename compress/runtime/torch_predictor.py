"""Opens imgc's safetensors files with PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.data.transforms import normalize
from compress.errors import missing_backend
from compress.runtime.predictor import Call, Floats, Pixels, check_images, check_pixels, require_classifier

if TYPE_CHECKING:
    from torch import Tensor


class TorchPredictor:
    """A torch model in eval mode, channels_last, without gradients."""

    format = Format.TORCH

    def __init__(self, path: Path, *, threads: int, device: str) -> None:
        """Load the model; see `open_predictor` for the errors."""
        try:
            import torch
        except ImportError as error:
            raise missing_backend("torch", "train") from error
        from compress.models.weights import load_model

        model, spec = load_model(path)
        require_classifier(spec, path)
        self.path = path
        self.spec: ModelSpec = spec
        self.threads = threads
        self.runtime = f"torch {torch.__version__.split('+')[0]}"
        self._device = torch.device(device)
        # channels_last is 2-5x on the CPU for depthwise nets.
        self._model = model.eval().to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict_pixels(self, pixels_NHWC: Pixels) -> Floats:
        """Return logits_NK; see `Predictor.predict_pixels`."""
        check_pixels(pixels_NHWC, self.spec, self.path)
        return self.predict(normalize(pixels_NHWC, self.spec.preprocess))

    def predict(self, images_NCHW: Floats) -> Floats:
        """Return logits_NK; see `Predictor.predict`."""
        return self._run(self._inputs(images_NCHW))

    def prepared(self, images_NCHW: Floats) -> Call:
        """Return a call; see `Predictor.prepared`."""
        return partial(self._run, self._inputs(images_NCHW))

    def _inputs(self, images_NCHW: Floats) -> Tensor:
        import torch

        check_images(images_NCHW, self.spec, self.path)
        with computing_with(self.threads):
            return torch.from_numpy(images_NCHW).to(self._device, memory_format=torch.channels_last)

    def _run(self, inputs: Tensor) -> Floats:
        import torch

        with computing_with(self.threads), torch.inference_mode():
            logits_NK = self._model(inputs).float().cpu().numpy()
        return np.asarray(logits_NK, dtype=np.float32)


@contextmanager
def computing_with(count: int) -> Iterator[None]:
    """Compute with `count` threads inside the block; torch's setting is global, so it is put back."""
    import torch

    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
