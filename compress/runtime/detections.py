"""What the post-processing inside a detector's file finds. Our own verbs read its raw numbers instead.

Letters: N images, C channels, H height, W width, M the most boxes of an image, B those found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.core.boxes import DETECTIONS
from compress.core.preprocess import Preprocess
from compress.detect.answers import Boxes
from compress.detect.coding import Y_FIRST
from compress.runtime.detector import engine_of
from compress.runtime.detector_engines import EngineFile
from compress.runtime.predictor import Floats


def open_detections(path: Path, preprocess: Preprocess) -> Callable[[Floats], list[Boxes]]:
    """Return what gives the boxes of images_NCHW as the file itself finds them, in shares of the network's square.

    Args:
        path: an ONNX or TFLite file exported with `postprocess: true`.
        preprocess: its own.

    Raises:
        ModelFileError: it has no post-processing inside, or is damaged.
    """
    engine = engine_of(EngineFile(path, None, preprocess, threads=1, device="cpu", outputs=DETECTIONS))

    def found(images_NCHW: Floats) -> list[Boxes]:
        answers = (part[: len(images_NCHW)] for part in engine.run(engine.ready(images_NCHW)))
        return [_boxes(*one) for one in zip(*answers, strict=True)]

    return found


def _boxes(corners_M4: Floats, classes_M: Floats, scores_M: Floats, count: np.float32) -> Boxes:
    """Return the boxes of one image; what stands behind the last one means nothing."""
    kept = slice(int(count))
    corners_B4 = np.clip(corners_M4[kept][:, list(Y_FIRST)], 0, 1)  # TFLite's operator leaves them uncut
    return Boxes(corners_B4, scores_M[kept], classes_M[kept].astype(np.int64))
