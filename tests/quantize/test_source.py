from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.errors import CheckError, ModelFileError, UsageError
from compress.graph.from_torch import to_onnx
from compress.graph.metadata import embed_spec
from compress.graph.versions import to_half
from compress.models.build import build_model, new_spec
from compress.models.weights import save_model
from compress.quantize import source
from compress.quantize.source import float_graph, graph_of_arch
from tests.graphs import run_onnx

pytestmark = pytest.mark.slow

PREPROCESS = Preprocess(resize_px=32, crop_px=32)
QUIET = SilentReporter()


def artifact(path: Path) -> Artifact:
    fmt = Format.ONNX if path.suffix == ".onnx" else Format.TORCH
    facts = {"stage_id": "s", "kind": "file", "sha256": "0" * 64, "size_bytes": 1, "spec": None, "metrics": {}}
    return Artifact.model_validate({**facts, "format": fmt, "path": path})


def saved(model: onnx.ModelProto, folder: Path) -> Artifact:
    onnx.save(model, folder / "m.onnx")
    return artifact(folder / "m.onnx")


def weights(folder: Path, classes: int, spoil: str = "") -> Path:
    tensors = build_model(new_spec("tiny", [str(i) for i in range(classes)])).state_dict()
    if spoil:
        tensors[spoil].view(-1)[0] = float("nan")
    save_file(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "first"), [(4, "0"), (1000, "tench")])
def test_the_head_says_how_many_classes_there_are(tmp_path: Path, classes: int, first: str):
    model, spec = graph_of_arch("tiny", str(weights(tmp_path, classes)), 32, None, QUIET)
    assert (spec.arch, spec.num_classes, spec.labels[0]) == ("tiny", classes, first)
    assert (spec.input_chw, spec.preprocess.crop_px, spec.params > 0) == ((3, 32, 32), 32, True)
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == classes


@pytest.mark.slow
def test_a_preprocessing_that_is_given_wins(tmp_path: Path):
    given = Preprocess(resize_px=40, crop_px=32, interpolation="bicubic")
    _, spec = graph_of_arch("tiny", str(weights(tmp_path, 3)), None, given, QUIET)
    assert (spec.preprocess, spec.input_chw) == (given, (3, 32, 32))


def test_weights_with_nan_or_of_another_architecture_are_refused(tmp_path: Path):
    with pytest.raises(ModelFileError, match=r"1 tensors hold NaN or infinity: 'bn1.running_var'"):
        graph_of_arch("tiny", str(weights(tmp_path, 3, "bn1.running_var")), 32, None, QUIET)
    with pytest.raises(ModelFileError, match=r"no tensor 'classifier.1.weight'"):
        graph_of_arch("squeezenet1_1", str(weights(tmp_path, 3)), 64, None, QUIET)
    with pytest.raises(ModelFileError, match="holds the tensors of tiny, not of"):
        graph_of_arch("mobilenetv2_100", str(weights(tmp_path, 3)), 64, None, QUIET)


@pytest.mark.slow
def test_a_torch_file_and_the_onnx_file_made_of_it_give_the_same_graph(tmp_path: Path):
    spec = new_spec("tiny", ("a", "b"), 32)
    module = build_model(spec)
    save_model(tmp_path / "m.safetensors", module, spec)
    model, found = float_graph(artifact(tmp_path / "m.safetensors"))
    again, same = float_graph(saved(model, tmp_path))
    assert (again, same) == (model, found)
    assert found.labels == ("a", "b")


def test_nan_in_a_file_is_refused_by_tensor(float_model: onnx.ModelProto, tmp_path: Path):
    array = numpy_helper.to_array(float_model.graph.initializer[1]).copy()
    array.flat[0] = np.inf
    name = float_model.graph.initializer[1].name
    float_model.graph.initializer[1].CopyFrom(numpy_helper.from_array(array, name))
    with pytest.raises(ModelFileError, match=rf"tensor '{name}' holds 0 NaN and 1 infinite"):
        float_graph(saved(float_model, tmp_path), PREPROCESS)


def test_a_file_of_another_tool_needs_its_preprocessing(float_model: onnx.ModelProto, tmp_path: Path):
    given = saved(float_model, tmp_path)
    with pytest.raises(UsageError, match="carries no labels and no preprocessing") as caught:
        float_graph(given)
    assert "--preprocess" in caught.value.hint
    with pytest.raises(UsageError, match=r"\[3, 32, 32\], but preprocess.crop_px is 48"):
        float_graph(given, Preprocess(resize_px=48, crop_px=48))
    model, spec = float_graph(given, PREPROCESS)
    assert (spec.arch, spec.labels, spec.rewrites) == ("foreign", ("0", "1", "2", "3", "4"), ("clean",))
    assert [node.op_type for node in model.graph.node][-2:] == ["Flatten", "Gemm"]
    again, same = float_graph(saved(model, tmp_path))
    assert (same, again) == (spec, model), "cleaning what is clean changes nothing"


def test_cleaning_that_changes_the_answers_is_caught(float_model, tmp_path, monkeypatch):
    def breaks(model: onnx.ModelProto) -> onnx.ModelProto:
        cleaned = with_free_batch(model)
        tensor = next(t for t in cleaned.graph.initializer if t.name == "wh.weight")
        array = numpy_helper.to_array(tensor).copy()
        array[0, 0] += 0.5
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return cleaned

    with_free_batch = source.with_free_batch
    monkeypatch.setattr(source, "with_free_batch", breaks)
    with pytest.raises(CheckError, match=r"answers otherwise than the file: its numbers differ by .*, allowed"):
        float_graph(saved(float_model, tmp_path), PREPROCESS)


def test_an_operator_in_an_unknown_form_names_the_file(float_model: onnx.ModelProto, tmp_path: Path, monkeypatch):
    clip = next(node for node in float_model.graph.node if node.op_type == "Clip")
    clip.input[2] = ""  # no upper bound
    model, _ = float_graph(saved(float_model, tmp_path), PREPROCESS)
    assert "Clip" not in {node.op_type for node in model.graph.node}, "without an upper bound it is a Relu"

    def breaks(model: onnx.ModelProto) -> None:
        raise ValueError("no such axis")

    monkeypatch.setattr(source, "TorchGraph", breaks)
    with pytest.raises(ModelFileError, match=r"m.onnx: uses an operator in a form .*ValueError: no such axis"):
        float_graph(saved(float_model, tmp_path), PREPROCESS)


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.DYNAMIC])
def test_what_is_not_float32_is_refused(tmp_path: Path, precision: Precision):
    spec = new_spec("tiny", ("a", "b"), 32)
    model = to_onnx(build_model(spec), spec)
    embed_spec(model, spec.model_copy(update={"precision": precision}))
    with pytest.raises(UsageError, match="quantized already"):
        float_graph(saved(model, tmp_path))


def test_a_damaged_file_is_named(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"m.onnx: not a readable ONNX model"):
        float_graph(artifact(tmp_path / "m.onnx"))


def test_channels_of_zeros_stay_finite(tmp_path: Path):
    path = weights(tmp_path, 3)
    module = build_model(new_spec("tiny", ("0", "1", "2"), 32))
    with torch.no_grad():
        module.conv_stem.weight[:4] = 0
        module.bn1.weight[:2] = 0
    save_file(module.state_dict(), path)
    model, _ = graph_of_arch("tiny", str(path), 32, None, QUIET)
    assert all(np.isfinite(numpy_helper.to_array(t)).all() for t in model.graph.initializer)


def test_our_own_file_whose_height_was_freed_is_refused(tmp_path: Path):
    spec = new_spec("tiny", ("a", "b"), 32)
    model = to_onnx(build_model(spec).eval(), spec)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "h"
    with pytest.raises(ModelFileError, match=r"m\.onnx: takes .*every size but the first must be fixed"):
        float_graph(saved(model, tmp_path))


def test_a_float16_file_is_quantized_from_its_numbers_in_float32(tmp_path: Path):
    spec = new_spec("tiny", ("a", "b"), 32)
    plain = to_onnx(build_model(spec).eval(), spec)
    half = to_half(plain)
    embed_spec(half, spec.model_copy(update={"precision": Precision.FP16}))
    model, found = float_graph(saved(half, tmp_path))
    assert found.precision is Precision.FP32
    assert {one.data_type for one in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    images = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    assert run_onnx(model, images) == pytest.approx(run_onnx(plain, images), abs=0.01)
    foreign = onnx.ModelProto.FromString(half.SerializeToString())
    del foreign.metadata_props[:]
    (tmp_path / "foreign").mkdir()
    model, found = float_graph(saved(foreign, tmp_path / "foreign"), PREPROCESS)
    assert (found.arch, found.precision) == ("foreign", Precision.FP32)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ([1, 3, 16, 16], "crop_px 16"),
        ([1, 3, 16, 32], "square input"),
        ([1, 16, 16, 3], "crop_px 16"),
        ([1, 1, 32, 32], "three channels here"),
        ([1, 32, 32, 1], "three channels here"),
    ],
)
def test_the_hint_for_other_images_is_true(tmp_path: Path, shape: list[int], hint: str):
    nodes = [onnx.helper.make_node("Flatten", ["x"], ["f"]), onnx.helper.make_node("Gemm", ["f", "w"], ["y"])]
    weight = numpy_helper.from_array(np.zeros((int(np.prod(shape)), 2), np.float32), "w")
    ports = [onnx.helper.make_tensor_value_info(*port) for port in (("x", 1, shape), ("y", 1, [1, 2]))]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(UsageError, match="takes images of") as error:
        float_graph(saved(model, tmp_path), PREPROCESS)
    assert hint in error.value.hint


def test_class_names_come_from_a_file(float_model, tmp_path):
    given = saved(float_model, tmp_path)
    classes = float_graph(given, PREPROCESS)[1].num_classes
    names = tuple(f"name {index}" for index in range(classes))
    assert float_graph(given, PREPROCESS, labels=names)[1].labels == names
    with pytest.raises(UsageError, match=f"answers for {classes} classes, the labels name 2"):
        float_graph(given, PREPROCESS, labels=("a", "b"))
