from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compress.cli.run_files import newest_model, servable_model
from compress.errors import UsageError

TRAIN = {"kind": "train", "arch": "tiny", "weights": "none"}
RUNS = Path("runs")


@pytest.mark.parametrize(
    ("stages", "served"),
    [
        ([TRAIN, {"kind": "quantize"}, {"kind": "export", "format": "all"}], "04-export-tflite/model.tflite"),
        (
            [
                TRAIN,
                {"kind": "quantize"},
                {"kind": "export", "format": "tflite", "id": "int8"},
                {"kind": "export", "format": "tflite", "from": "train", "id": "float"},
            ],
            "03-int8/model.tflite",
        ),
        ([TRAIN, {"kind": "export", "format": "onnx"}, {"kind": "quantize"}], "03-quantize/model.onnx"),
        ([TRAIN, {"kind": "export", "format": "onnx"}, {"kind": "prune"}], "02-export/model.onnx"),
    ],
)
def test_int8_tflite_is_served_first(make_run: Callable[..., Path], stages: list[dict[str, str]], served: str):
    make_run("r", stages)
    assert servable_model(None, RUNS) == RUNS / "r" / served


def test_a_float_run_has_nothing_to_serve(make_run: Callable[..., Path]):
    make_run("r", [TRAIN])
    with pytest.raises(UsageError, match=r"\.tflite or \.onnx"):
        servable_model(None, RUNS)


def test_the_newest_model_is_no_benchmark(make_run: Callable[..., Path]):
    make_run("r", [TRAIN, {"kind": "prune"}, {"kind": "benchmark"}])
    assert newest_model(None, RUNS) == RUNS / "r" / "02-prune" / "model.safetensors"
    assert newest_model("r", RUNS) == newest_model(None, RUNS)


def test_the_newest_model_is_no_sibling(make_run: Callable[..., Path]):
    prune = {"kind": "prune", "id": "p"}
    make_run("distilled", [TRAIN, prune, {"kind": "distill"}])
    assert newest_model(None, RUNS) == RUNS / "distilled" / "04-distill" / "model.safetensors"
    make_run("by-hand", [TRAIN, prune, {"kind": "prune", "id": "mine", "like": "p", "weights": "none"}])
    assert newest_model(None, RUNS) == RUNS / "by-hand" / "02-p" / "model.safetensors"
    make_run("a-name-alone", [TRAIN, {"kind": "prune", "id": "p-sibling", "sibling": False}])
    assert newest_model(None, RUNS) == RUNS / "a-name-alone" / "02-p-sibling" / "model.safetensors"
