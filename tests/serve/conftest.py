"""A hand-made classifier of colours in both served formats, images for it, and a predictor that can be held."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.data.transforms import normalize
from compress.runtime.open import open_predictor
from compress.runtime.predictor import Predictor
from compress.serve.app import create_app
from compress.serve.config import ServeConfig

SIDE_PX = 32
SPEC = ModelSpec(
    arch="colours",
    labels=("red", "green", "blue"),
    input_chw=(3, SIDE_PX, SIDE_PX),
    preprocess=Preprocess(resize_px=SIDE_PX, crop_px=SIDE_PX, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)),
)


def colours_onnx(spec: ModelSpec = SPEC) -> bytes:
    """Return a model whose logits are the mean of each channel."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", *spec.input_chw])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {SPEC_KEY: spec.model_dump_json()})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def colours_tflite() -> bytes:
    """Return the same model as one TFLite MEAN."""
    from compress.runtime.tflite_meta import embed_spec, pack, schema

    tfl = schema()
    model, graph, code, mean = tfl.ModelT(), tfl.SubGraphT(), tfl.OperatorCodeT(), tfl.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = tfl.BuiltinOperator.MEAN
    axes = tfl.BufferT()
    axes.data = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    graph.tensors = []
    rows = (
        ("images", [1, SIDE_PX, SIDE_PX, 3], "FLOAT32", 0),
        ("axes", [2], "INT32", 1),
        ("logits", [1, 3], "FLOAT32", 0),
    )
    for name, shape, kind, buffer in rows:
        tensor = tfl.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, np.array(shape, np.int32), buffer
        tensor.type = getattr(tfl.TensorType, kind)
        graph.tensors.append(tensor)
    mean.inputs, mean.outputs = np.array([0, 1], np.int32), np.array([2], np.int32)
    mean.builtinOptionsType, mean.builtinOptions = tfl.BuiltinOptions.ReducerOptions, tfl.ReducerOptionsT()
    graph.inputs, graph.outputs, graph.operators = np.array([0], np.int32), np.array([2], np.int32), [mean]
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [tfl.BufferT(), axes]
    return embed_spec(pack(model), SPEC.model_copy(update={"layout": "NHWC"}))


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return SPEC


@pytest.fixture(scope="session")
def onnx_bytes() -> Callable[[ModelSpec], bytes]:
    return colours_onnx


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    path.write_bytes(colours_onnx())
    return path


@pytest.fixture(scope="session")
def tflite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model.tflite"
    path.write_bytes(colours_tflite())
    return path


@pytest.fixture(scope="session")
def image() -> Callable[..., bytes]:
    """Return a maker of noisy one-colour images, encoded."""

    def make(
        colour: tuple[int, int, int] = (220, 60, 20), *, kind: str = "JPEG", size: tuple[int, int] = (80, 60)
    ) -> bytes:
        noise = np.random.default_rng(sum(colour)).integers(-15, 16, (size[1], size[0], 3))
        pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return make


@pytest.fixture
def client(onnx_file: Path) -> Iterator[TestClient]:
    app = create_app(ServeConfig(models=[onnx_file], threads=2))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


class HeldPredictor:
    """The real predictor, which records what it is given and can be made to wait."""

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner
        self.spec = inner.spec
        self.runtime = inner.runtime
        self.format = inner.format
        self.inputs: list[np.ndarray] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
        self.inputs.append(images_NCHW.copy())
        assert self.go_on.wait(30), "the test never let the model go on"
        return self.inner.predict(images_NCHW)

    def predict_pixels(self, pixels_NHWC: np.ndarray) -> np.ndarray:
        return self.predict(normalize(pixels_NHWC, self.spec.preprocess))


@pytest.fixture
def held(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldPredictor]:
    """Return the predictor that applications made in this test will use."""
    predictor = HeldPredictor(open_predictor(onnx_file))
    monkeypatch.setattr("compress.serve.core.inference.open_predictor", lambda *_, **__: predictor)
    yield predictor
    predictor.go_on.set()


class Wire:
    """One request as ASGI messages: chunks to receive (then silence or a hang-up), what was sent, reads counted."""

    def __init__(self, chunks=(), *, ends=True, hangs_up=False, headers=()):
        self.messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        if self.messages and ends:
            self.messages[-1]["more_body"] = False
        if hangs_up:
            self.messages.append({"type": "http.disconnect"})
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/classify",
            "raw_path": b"/v1/classify",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"image/jpeg"), *headers],
            "client": None,
            "server": ("test", 80),
        }
        self.reads = 0
        self.sent = []

    async def receive(self):
        self.reads += 1
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message):
        self.sent.append(message)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return dict(self.sent[0]["headers"])

    @property
    def json(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))


@pytest.fixture(scope="session")
def make_wire() -> type[Wire]:
    return Wire
