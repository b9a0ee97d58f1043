"""Models named on the command line: names of rows, foreign files, architectures, and those that cannot be opened."""

from __future__ import annotations

import onnx
import pytest

from compress.benchmark.files import labels_of, open_models, short_names
from compress.core.preprocess import Preprocess
from tests.benchmark.conftest import SIDE

PREPROCESS = Preprocess(resize_px=SIDE, crop_px=SIDE)


def opened(models, folder, preprocess=None):
    return open_models([str(model) for model in models], folder, threads=1, preprocess=preprocess)


def undescribed(artifact, path, side=(SIDE, SIDE)):
    """Write another tool's file: the graph without our metadata."""
    model = onnx.load(str(artifact.path))
    del model.metadata_props[:]
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], side, strict=True):
        dim.dim_value = size
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["a/x.onnx", "b/y.tflite"], ["x.onnx", "y.tflite"]),
        (["runs/a/m.onnx", "runs/b/m.onnx"], ["a/m.onnx", "b/m.onnx"]),
        (["m.onnx", "b/m.onnx"], ["m.onnx", "b/m.onnx"]),
        (["m.onnx", "m.onnx"], ["m.onnx", "m.onnx (2)"]),
        (["timm:resnet18", "x/resnet18"], ["timm:resnet18", "resnet18"]),
    ],
)
def test_rows_have_short_names_that_differ(models, names):
    assert short_names(models) == names


def test_one_that_cannot_be_opened_does_not_lose_the_others(make_artifact, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    good = make_artifact("good").path
    found = opened([tmp_path / "broken.tflite", good, "gone.onnx", "timm:no_such_net"], tmp_path)
    assert [one.name for one in found.candidates] == ["model.onnx"]
    assert [one.name for one in found.failed] == ["broken.tflite", "gone.onnx", "timm:no_such_net"]
    assert all(one.error for one in found.failed)
    assert "no such model file" in found.failed[1].error


def test_a_file_of_another_tool_is_asked_only_with_its_preprocessing(make_artifact, tmp_path):
    path = undescribed(make_artifact("x"), tmp_path / "foreign.onnx")
    (alone,) = opened([path], tmp_path).candidates
    assert "--preprocess" in alone.unasked
    assert alone.predictor.spec.preprocess.crop_px == SIDE, "it can be timed all the same"
    (told,) = opened([path], tmp_path, PREPROCESS).candidates
    assert told.unasked is None


def test_an_image_that_is_not_square_is_told(make_artifact, tmp_path):
    path = undescribed(make_artifact("x"), tmp_path / "wide.onnx", side=(32, 48))
    (failed,) = opened([path], tmp_path).failed
    assert "32 x 48, only square" in failed.error


@pytest.mark.slow
def test_an_architecture_is_built_with_random_weights(tmp_path):
    (tiny,) = opened(["tiny"], tmp_path).candidates
    assert "random weights" in tiny.unasked
    assert tiny.predictor.spec.num_classes == 1000
    assert tiny.predictor.spec.macs > 0
    assert tiny.path == tiny.name == "tiny"


@pytest.mark.slow
def test_a_librarys_architecture_is_built_too(tmp_path):
    (net,) = opened(["torchvision:squeezenet1_1"], tmp_path).candidates
    assert net.predictor.spec.arch == "torchvision:squeezenet1_1"
    assert net.predictor.spec.params > 1_000_000


def test_classes_come_from_a_model_that_names_them(make_artifact, tmp_path):
    foreign = undescribed(make_artifact("x"), tmp_path / "foreign.onnx")
    own = make_artifact("own").path
    candidates = opened([foreign, own], tmp_path, PREPROCESS).candidates
    assert labels_of(candidates, "foreign.onnx") == (("blue", "green", "red"), True)
    assert labels_of(candidates[:1], "foreign.onnx") == (("0", "1", "2"), False)
