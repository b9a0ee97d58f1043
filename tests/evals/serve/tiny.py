"""A server of a few lines in a process of its own, for tests of what starts, watches and loads servers."""

from __future__ import annotations

import sys
from pathlib import Path

from evals.serve.images import LoadImages
from evals.serve.rounds import Setting
from evals.serve.targets import Target
from tests.benchmark.tiny_server import SOURCE


def tiny_target(source: str = SOURCE, *, name: str = "tiny", model: Path = Path("model.onnx")) -> Target:
    return Target(name, model, (sys.executable, "-c", source, "{port}"), "/classify", "/ready")


def tiny_setting(folder: Path, **numbers: float) -> Setting:
    """Return a setting of two "images", of which the tiny server tells one right."""
    small = [folder / "hat.jpg", folder / "other.jpg"]
    for path in small:
        path.write_bytes(path.stem.encode())
    files = folder / "model.onnx", folder / "model.tflite"
    for path in files:
        path.write_bytes(b"model")
    return Setting(*files, LoadImages(small, small[0]), folder / "no-baselines", **numbers)
