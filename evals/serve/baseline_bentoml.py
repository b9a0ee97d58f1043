"""A baseline server, BentoML with ONNX Runtime.

`BASELINE_MODEL=FILE bentoml serve evals.serve.baseline_bentoml:Classify`

One worker; the image is the raw body, by a positional-only `Path` of an image type, as BentoML's guide has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType

from evals.serve.baseline_model import MODEL_VARIABLE, BaselineModel


@bentoml.service(workers=1, metrics={"enabled": False}, traffic={"timeout": 60})
class Classify:
    """The model as a BentoML service."""

    def __init__(self) -> None:
        self._model = BaselineModel(Path(os.environ[MODEL_VARIABLE]))

    @bentoml.api(route="/classify")  # type: ignore[untyped-decorator]
    def classify(self, image: Annotated[Path, ContentType("image/*")], /) -> dict[str, Any]:
        """Return the best classes of the image in the body."""
        return self._model.classify(image.read_bytes())
