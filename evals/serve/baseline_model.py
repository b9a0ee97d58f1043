"""What every baseline server shares: one image's bytes in, classes and shares out, by Pillow, numpy, ONNX Runtime.

Runs in the baselines' own environment, so it imports nothing of this package. The work is ours: the same file,
the decoding at a reduced scale (`draft`), the same box resized, one thread, no spinning.

Legend: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

MODEL_VARIABLE = "BASELINE_MODEL"
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_TOP_K = 5


class BaselineModel:
    """An ONNX file with its preprocessing; safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file and run it once."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        spec = json.loads(self._session.get_modelmeta().custom_metadata_map["imgc.spec"])
        self._labels: list[str] = spec["labels"]
        self._preprocess: dict[str, Any] = spec["preprocess"]
        mean, std = (np.array(self._preprocess[name], dtype=np.float32) for name in ("mean", "std"))
        self._scale_C, self._shift_C = 1 / (255 * std), mean / std
        self._input = self._session.get_inputs()[0].name
        self._session.run(None, {self._input: np.zeros((1, *spec["input_chw"]), dtype=np.float32)})

    def classify(self, body: bytes) -> dict[str, Any]:
        """Return the best classes of one image, best first, in the shape of our own answer."""
        logits_K = self._session.run(None, {self._input: self._pixels(body)})[0][0]
        shares_K = np.exp(logits_K - logits_K.max())
        shares_K /= shares_K.sum()
        best = np.argsort(-shares_K)[:_TOP_K]
        return {"predictions": [{"label": self._labels[i], "score": float(shares_K[i])} for i in best]}

    def _pixels(self, body: bytes) -> NDArray[np.float32]:
        resize_px, crop_px = self._preprocess["resize_px"], self._preprocess["crop_px"]
        with Image.open(io.BytesIO(body)) as image:
            image.draft("RGB", (2 * resize_px, 2 * resize_px))
            rgb = image.convert("RGB")
        side = min(rgb.size) * crop_px / resize_px
        left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
        box = (left, top, left + side, top + side)
        square = rgb.resize((crop_px, crop_px), _FILTERS[self._preprocess["interpolation"]], box=box)
        pixels_HWC = np.asarray(square, dtype=np.float32) * self._scale_C - self._shift_C
        return np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None])
