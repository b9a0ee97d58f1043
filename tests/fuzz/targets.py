"""What is fuzzed: whole files (and requests, as files) to start from, and what imgc does with such a file."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.fuzz import texts
from tests.fuzz.images import images, read_image
from tests.fuzz.parsed import lying_onnx, lying_safetensors, lying_tflite
from tests.fuzz.requests import lying_request, requests, send
from tests.fuzz.seeds import onnx_files, safetensors_files, tflite_files

PREPROCESS = {"resize_px": 16, "crop_px": 16}


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        suffix: of the file's name.
        seeds: makes the whole files.
        use: everything that reads such a file; raises ImgcError where it refuses it.
        lying: changes a whole file so that it can still be parsed.
        weight: how many times as long as others a file takes; so many times fewer are tried.
    """

    suffix: str
    seeds: Callable[[], list[bytes]]
    use: Callable[[Path], None]
    lying: Callable[[bytes, random.Random], bytes] | None = None
    weight: int = 1


def _run(path: Path) -> None:
    from compress.classifier import load

    model = load(path, preprocess=PREPROCESS)
    model.predict(np.zeros((16, 16, 3), np.uint8))


def _inspect(path: Path) -> None:
    from compress.cli.inspect_file import inspect_file
    from compress.pipeline.given import vouch

    vouch(path, "look")
    inspect_file(path)


def _lower(path: Path) -> None:
    from compress.graph.importer import import_classifier
    from compress.lower.walk import lower
    from compress.pipeline.given import vouch

    vouch(path, "graph")
    lower(import_classifier(path).model)


def _all(*uses: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return what does them all, though one may refuse; the last refusal is raised."""
    from compress.errors import ImgcError

    def use(path: Path) -> None:
        refused = None
        for one in uses:
            try:
                one(path)
            except ImgcError as error:
                refused = error
        if refused is not None:
            raise refused

    return use


def _torch(path: Path) -> None:
    from compress.models.weights import load_model

    load_model(path)


TARGETS = {
    "tflite": Target(".tflite", tflite_files, _all(_inspect, _run), lying_tflite),
    "onnx": Target(".onnx", onnx_files, _all(_inspect, _run, _lower), lying_onnx),
    "safetensors": Target(".safetensors", safetensors_files, _all(_inspect, _torch), lying_safetensors),
    "image": Target(".image", images, read_image),
    "recipe": Target(".yaml", texts.recipes, texts.read_recipe, texts.lying_yaml),
    "settings": Target(".yaml", texts.settings, texts.read_settings, texts.lying_yaml),
    "manifest": Target(".csv", texts.manifests, texts.read_manifest),
    "run": Target(".json", texts.runs, texts.read_run, texts.lying_json),
    "http": Target(".http", requests, send, lying_request, weight=5),
}
