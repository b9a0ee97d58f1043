"""A stranger's file is tried in a process of its own, and whatever happens to that becomes a message."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.errors import BackendMissingError, ModelFileError
from compress.runtime import trial
from compress.runtime.tflite_meta import pack, unpack
from tests.tiny_files import SIDE, Tiny

NEW_PROCESS = trial._in_new_process  # taken before the session puts another in its place


@pytest.fixture(autouse=True)
def _real_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_in_new_process", NEW_PROCESS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "tflite", "tflite int8"])
def test_a_good_file_passes(tiny: Tiny, kind: str):
    trial.try_out(tiny.of_kind(kind))


def test_weights_alone_are_not_tried(tmp_path: Path):
    trial.try_out(tmp_path / "weights.safetensors")


def test_a_file_that_is_not_there_is_left_to_who_opens_it(tmp_path: Path):
    trial.try_out(tmp_path / "gone.onnx")


def endless(path: Path, *, on_bright_images_only: bool = False) -> Path:
    """Write a classifier with a Loop whose condition stays true, of all images or of those whose mean is above 0."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Identity", ["value"], ["values"])],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "zero"], ["bright"]),
        helper.make_node("Loop", ["", "bright" if on_bright_images_only else "true", "flat"], ["logits"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "endless",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array(True), "true"), numpy_helper.from_array(np.float32(0), "zero")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


@pytest.mark.slow
def test_a_loop_without_end_has_a_deadline(tmp_path: Path):
    with pytest.raises(ModelFileError, match=r"endless\.onnx: gave no answer to one blank image within 3 s"):
        trial.try_out(endless(tmp_path / "endless.onnx"), deadline_s=3)


def changed(tiny: Tiny, change: Callable[[object], None]) -> Path:
    path = tiny.tflite(int8=True)
    model = unpack(path.read_bytes())
    change(model)
    path.write_bytes(pack(model))
    return path


@pytest.mark.slow
def test_memory_is_bounded(tiny: Tiny):
    def many(model):
        model.subgraphs[0].tensors[0].shape = [2**21 + 1, SIDE, SIDE, 3]

    with pytest.raises(ModelFileError, match=r"takes too much memory|cannot be opened and run"):
        trial.try_out(changed(tiny, many))


@pytest.mark.slow
def test_a_lie_is_told_as_one_and_not_run(tiny: Tiny):
    def without_weights(model):
        model.subgraphs[0].operators[1].inputs = [2, -1, 3]  # LiteRT crashes, most of the time

    with pytest.raises(ModelFileError, match=r"operator 1 is not given what it computes with"):
        trial.try_out(changed(tiny, without_weights))


@pytest.mark.parametrize(
    ("code", "out", "err", "message"),
    [
        (-11, b"", b"", r"crashed \(SIGSEGV\)"),
        (1, b"", b"warning\nKeyError: 7\n", "cannot be opened and run: KeyError: 7"),
        (1, b"", b"", "cannot be opened and run: no reason"),
        (2, b'["ModelFileError", "m.onnx: bad", "again"]', b"", "m.onnx: bad"),
    ],
)
def test_how_the_process_ended_is_told(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, code: int, out: bytes, err: bytes, message: str
):
    monkeypatch.setattr(trial, "_in_new_process", lambda *_: subprocess.CompletedProcess([], code, out, err))
    with pytest.raises(ModelFileError, match=message) as caught:
        trial.try_out(tiny.onnx())
    assert caught.value.hint


def test_an_error_of_ours_keeps_its_kind(tiny: Tiny, monkeypatch: pytest.MonkeyPatch):
    out = b'["BackendMissingError", "onnxruntime is not installed", "pip install it"]'
    monkeypatch.setattr(trial, "_in_new_process", lambda *_: subprocess.CompletedProcess([], 2, out, b""))
    with pytest.raises(BackendMissingError, match="not installed"):
        trial.try_out(tiny.onnx())
