"""The protocol over HTTP: a client made by others, abuse, and requests mangled at random."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request

from compress.core.outputs import shares
from compress.data.decode import BadImageError
from compress.data.transforms import normalize, read_pixels
from compress.serve.core.admission import Admitted, Slot
from compress.serve.core.deadline import Deadline
from compress.serve.core.inference import Inference
from compress.serve.core.metrics import Metrics
from compress.serve.core.work import looks_like_an_image
from compress.serve.errors import (
    RequestError,
    overloaded,
    undecodable,
    unknown_model,
    unknown_version,
    unsupported_type,
)
from compress.serve.http.gateway import Gateway, error_response
from compress.serve.http.hosts import Hosts
from compress.serve.http.paths import Paths
from compress.serve.oip.routes import HEADER_LENGTH, ModelInfo, oip_routes
from compress.serve.oip.schema import (
    IndexEntry,
    InferResponse,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    read_message,
)
from compress.serve.oip.tensors import split, write_outputs

MAX_BODY_BYTES = 4 << 20
MODEL = "/v2/models/colours"
INFER = f"{MODEL}/infer"
CHW = (3, 32, 32)


class ColoursBackend:
    """The served model of these tests, really run."""

    def __init__(self, path: Path) -> None:
        self.inference = Inference(path, threads=2)
        self.ready = True

    def names(self) -> tuple[str, ...]:
        return (self.inference.name,)

    def model(self, name: str, version: str | None) -> ModelInfo:
        inference = self.inference
        if name != inference.name:
            raise unknown_model(name, self.names())
        if version not in (None, inference.version):
            raise unknown_version(name, version, inference.version)
        return ModelInfo(name, inference.version, inference.spec, "onnxruntime_onnx")

    async def infer(self, model: ModelInfo, images_NCHW: NDArray, admitted: Admitted) -> tuple[NDArray, ...]:
        admitted.deadline.check("inference")
        return await asyncio.to_thread(self.inference.predict, images_NCHW)

    async def infer_bytes(self, model: ModelInfo, bodies: list[bytes], admitted: Admitted) -> NDArray:
        return (await self.infer(model, np.concatenate([self._image(body) for body in bodies]), admitted))[0]

    def _image(self, body: bytes) -> NDArray:
        if not looks_like_an_image(body):
            raise unsupported_type(f"the first bytes {body[:8].hex(' ')}")
        preprocess = self.inference.spec.preprocess
        try:
            return normalize(read_pixels(body, preprocess)[None], preprocess)
        except BadImageError as error:
            raise undecodable(error.reason) from error


class Door:
    """Lets requests in, unless told not to, and counts those inside."""

    def __init__(self) -> None:
        self.open = True
        self.timeout_ms = 10_000
        self.inside = 0

    @contextmanager
    def __call__(self, request: Request) -> Iterator[Admitted]:
        if not self.open:
            raise overloaded("count")
        self.inside += 1
        try:
            yield Admitted(Deadline(self.timeout_ms), Slot())
        finally:
            self.inside -= 1


def oip_app(backend: ColoursBackend, door: Door) -> Gateway:
    app = FastAPI(routes=oip_routes(backend, door, MAX_BODY_BYTES))

    @app.exception_handler(RequestError)
    async def on_fault(request: Request, fault: RequestError):
        return error_response(request.scope, fault)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException):
        return error_response(request.scope, RequestError(error.status_code, "http_error", str(error.detail)))

    return Gateway(
        app,
        hot={},
        paths=Paths(""),
        hosts=Hosts(None),
        metrics=Metrics(),
        key=None,
        rate=None,
        refusing=lambda: False,
        log_requests=0.0,
    )


@pytest.fixture(scope="module")
def backend(onnx_file: Path) -> ColoursBackend:
    return ColoursBackend(onnx_file)


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def http(backend: ColoursBackend, door: Door) -> Iterator[TestClient]:
    with TestClient(oip_app(backend, door), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def address(backend: ColoursBackend, door: Door) -> Iterator[str]:
    """Return host:port of a running server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(oip_app(backend, door), log_level="warning", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def triton(address: str) -> Iterator:
    """Return Triton's own client, connected."""
    tritonclient = pytest.importorskip("tritonclient.http")
    client = tritonclient.InferenceServerClient(address)
    yield client
    client.close()


@pytest.fixture(scope="module", name="images_NCHW")
def _images() -> NDArray:
    return np.random.default_rng(1).normal(size=(3, *CHW)).astype(np.float32)


def means(images_NCHW: NDArray) -> NDArray:
    """Return the logits of the colours model."""
    return images_NCHW.mean((2, 3))


def body_of(blob: bytes = b"", **fields: object) -> tuple[bytes, dict[str, str]]:
    """Return a request's body and headers."""
    text = json.dumps(fields).encode()
    return text + blob, {HEADER_LENGTH: str(len(text))} if blob else {}


def tensor(images_NCHW: NDArray, **fields: object) -> dict:
    return {"name": "images", "datatype": "FP32", "shape": list(images_NCHW.shape), **fields}


# -- a client made by others


def _infer(triton, given, outputs=None, **options):
    return triton.infer("colours", [given], outputs=outputs, **options)


def _tensor_input(images_NCHW, *, binary: bool):
    from tritonclient.http import InferInput

    given = InferInput("images", list(images_NCHW.shape), "FP32")
    given.set_data_from_numpy(images_NCHW, binary_data=binary)
    return given


def _bytes_input(bodies: list[bytes]):
    from tritonclient.http import InferInput

    given = InferInput("image_bytes", [len(bodies)], "BYTES")
    given.set_data_from_numpy(np.array(bodies, dtype=np.object_))
    return given


def _output(name: str, **options):
    from tritonclient.http import InferRequestedOutput

    return InferRequestedOutput(name, **options)


def test_the_client_finds_the_server_and_its_model(triton, backend):
    version = backend.inference.version
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("colours")
    assert triton.is_model_ready("colours", version)
    assert not triton.is_model_ready("colours", "1")
    assert not triton.is_model_ready("shapes")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data", "classification"]
    metadata = triton.get_model_metadata("colours", version)
    assert metadata["versions"] == [version]
    assert metadata["inputs"][0] == {"name": "images", "datatype": "FP32", "shape": [-1, *CHW]}
    assert metadata["outputs"][0] == {"name": "logits", "datatype": "FP32", "shape": [-1, 3]}
    assert triton.get_model_repository_index() == [
        {"name": "colours", "version": version, "state": "READY", "reason": ""}
    ]


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
def test_the_client_sends_tensors_and_gets_logits(triton, images_NCHW, binary_in, binary_out):
    outputs = [_output("logits", binary_data=binary_out), _output("probabilities", binary_data=not binary_out)]
    result = _infer(triton, _tensor_input(images_NCHW, binary=binary_in), outputs, request_id="r-1")
    np.testing.assert_allclose(result.as_numpy("logits"), means(images_NCHW), atol=1e-6)
    np.testing.assert_allclose(result.as_numpy("probabilities"), shares(means(images_NCHW), "logits"), atol=1e-6)
    assert result.get_response()["id"] == "r-1"


def test_the_client_gets_logits_when_it_names_no_output(triton, images_NCHW, backend):
    result = _infer(
        triton, _tensor_input(images_NCHW, binary=True), model_version=backend.inference.version, timeout=5_000_000
    )
    assert [output["name"] for output in result.get_response()["outputs"]] == ["logits"]
    np.testing.assert_allclose(result.as_numpy("logits"), means(images_NCHW), atol=1e-6)


def test_the_client_sends_images_and_gets_classes(triton, image):
    bodies = [image((220, 60, 20)), image((20, 60, 220), kind="PNG")]
    outputs = [_output("probabilities", class_count=2)]
    result = _infer(triton, _bytes_input(bodies), outputs)
    rows = [[element.decode().split(":") for element in row] for row in result.as_numpy("probabilities")]
    assert [row[0][1:] for row in rows] == [["0", "red"], ["2", "blue"]]
    assert all(1 >= float(row[0][0]) >= float(row[1][0]) >= 0 for row in rows)
    as_text = _infer(triton, _bytes_input(bodies), [_output("probabilities", class_count=2, binary_data=False)])
    assert as_text.as_numpy("probabilities").tolist() == [[":".join(item) for item in row] for row in rows]


def test_the_client_is_told_what_is_wrong(triton, images_NCHW):
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match=r"the shape \[3, 3, 32, 16\]; allowed") as caught:
        _infer(triton, _tensor_input(np.ascontiguousarray(images_NCHW[..., :16]), binary=True))
    assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="not an image") as caught:
        _infer(triton, _bytes_input([b"hello"]))
    assert caught.value.status() == "415"
    with pytest.raises(InferenceServerException, match="gzip"):
        _infer(triton, _tensor_input(images_NCHW, binary=True), request_compression_algorithm="gzip")


# -- answers


def test_every_answer_has_its_schema(http, images_NCHW):
    for path, kind in (
        ("/v2", ServerMetadata),
        ("/v2/health/live", ServerLive),
        ("/v2/health/ready", ServerReady),
        (MODEL, ModelMetadata),
        (f"{MODEL}/ready", ModelReady),
    ):
        reply = http.get(path)
        assert reply.status_code == 200
        kind.model_validate(reply.json())
    for entry in http.post("/v2/repository/index").json():
        IndexEntry.model_validate(entry)
    body, headers = body_of(inputs=[tensor(images_NCHW, data=images_NCHW.tolist())])
    reply = http.post(INFER, content=body, headers=headers)
    InferResponse.model_validate(reply.json())
    assert reply.headers["x-model-version"] == reply.json()["model_version"]
    assert "id" not in reply.json()


def test_all_ways_of_sending_an_image_give_the_same_logits(http, image, backend):
    image = image()
    element = struct.pack("<I", len(image)) + image
    bytes_in = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}
    pixels_NCHW = backend._image(image)
    requests = [
        body_of(element, inputs=[{**bytes_in, "parameters": {"binary_data_size": len(element)}}]),
        body_of(inputs=[{**bytes_in, "data": [b64encode(image).decode()], "parameters": {"content_type": "base64"}}]),
        body_of(inputs=[tensor(pixels_NCHW, data=pixels_NCHW.ravel().tolist())]),
        body_of(pixels_NCHW.tobytes(), inputs=[tensor(pixels_NCHW, parameters={"binary_data_size": 12_288})]),
    ]
    replies = [http.post(INFER, content=body, headers=headers).json() for body, headers in requests]
    assert all(reply == replies[0] for reply in replies)
    assert len(replies[0]["outputs"][0]["data"]) == 3


def test_what_follows_the_json_of_an_answer_is_where_it_says(http, images_NCHW):
    wanted = [{"name": "logits", "parameters": {"classification": 1}}]
    body, headers = body_of(
        images_NCHW.tobytes(),
        inputs=[tensor(images_NCHW, parameters={"binary_data_size": images_NCHW.nbytes})],
        outputs=wanted,
        parameters={"binary_data_output": True},
    )
    reply = http.post(INFER, content=body, headers=headers)
    assert reply.headers["content-type"] == "application/octet-stream"
    at = int(reply.headers[HEADER_LENGTH])
    (output,) = json.loads(reply.content[:at])["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [3, 1])
    assert len(split(reply.content[at:], 3)) == 3


def test_sixty_four_images_are_answered_and_each_gets_its_own(http):
    images_NCHW = np.ones((64, *CHW), np.float32) * np.arange(64, dtype=np.float32)[:, None, None, None]
    body, headers = body_of(
        images_NCHW.tobytes(), inputs=[tensor(images_NCHW, parameters={"binary_data_size": images_NCHW.nbytes})]
    )
    (output,) = http.post(INFER, content=body, headers=headers).json()["outputs"]
    assert np.reshape(output["data"], output["shape"])[:, 0].tolist() == list(range(64))


# -- refusals


ONE = np.zeros((1, *CHW), np.float32)
GOOD = json.dumps({"inputs": [tensor(ONE, data=[0] * ONE.size)]}).encode()
REFUSED = {
    "empty": (INFER, b"", {}, 400, "inference request"),
    "unknown model": ("/v2/models/shapes/infer", GOOD, {}, 404, "no model 'shapes' is served here (served: colours)"),
    "unknown version": (f"{MODEL}/versions/1/infer", GOOD, {}, 404, "not served in version '1'"),
    "too large": (INFER, bytes(MAX_BODY_BYTES + 1), {}, 413, "larger than the 4194304 bytes"),
    "form": (INFER, GOOD, {"content-type": "multipart/form-data; boundary=x"}, 415, "'multipart/form-data'"),
    "compressed": (INFER, GOOD, {"content-encoding": "gzip"}, 415, "the content encoding is 'gzip'"),
    "header of text": (INFER, GOOD, {HEADER_LENGTH: "all"}, 400, f"{HEADER_LENGTH} is 'all'; allowed"),
    "negative header": (INFER, GOOD, {HEADER_LENGTH: "-1"}, 400, f"{HEADER_LENGTH} is '-1'; allowed"),
    "header of 0": (INFER, GOOD, {HEADER_LENGTH: "0"}, 400, f"{HEADER_LENGTH} is 0; allowed: 1 to"),
    "header too long": (INFER, GOOD, {HEADER_LENGTH: "99999"}, 400, f"{HEADER_LENGTH} is 99999; allowed: 1 to"),
    "header of 400 digits": (INFER, GOOD, {HEADER_LENGTH: "9" * 400}, 400, "allowed: a number of bytes"),
    "header too short": (INFER, GOOD, {HEADER_LENGTH: "5"}, 400, "no JSON"),
    "trailing byte": (INFER, GOOD + b"x", {HEADER_LENGTH: str(len(GOOD))}, 400, "1 bytes follow the JSON"),
    "same output twice": (
        INFER,
        GOOD[:-1] + b', "outputs": [{"name": "logits"}, {"name": "logits"}]}',
        {},
        400,
        "outputs names 'logits' twice",
    ),
    "many lists": (INFER, b'{"inputs": [' + b"[]," * 100_000 + b"[]]}", {}, 400, "lists and objects; allowed: 6464"),
    "index of no JSON": ("/v2/repository/index", b"x", {}, 400, "no JSON"),
    "index of another": ("/v2/repository/index", b'{"repository_name": "r"}', {}, 400, "repository_name"),
}


def fault_of(reply):
    fault = reply.json()
    assert set(fault) == {"error", "code", "request_id"}
    assert all(isinstance(value, str) for value in fault.values())
    return fault


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_has_its_status_and_says_what_was_found(http, name):
    path, body, headers, status, words = REFUSED[name]
    reply = http.post(path, content=body, headers=headers)
    assert reply.status_code == status
    fault = fault_of(reply)
    assert words in fault["error"]
    assert fault["request_id"] == reply.headers["x-request-id"]


def test_an_image_that_does_not_decode_is_422(http, image):
    half = image()[:400]
    element = struct.pack("<I", len(half)) + half
    parameters = {"binary_data_size": len(element)}
    body, headers = body_of(
        element, inputs=[{"name": "image_bytes", "datatype": "BYTES", "shape": [1], "parameters": parameters}]
    )
    reply = http.post(INFER, content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_image")


def test_a_full_server_says_so_before_it_reads(http, door, monkeypatch):
    monkeypatch.setattr(door, "open", False)
    reply = http.post(INFER, content=b"not even JSON")
    assert (reply.status_code, reply.json()["code"]) == (503, "overloaded")


def test_a_place_is_given_back_whatever_happens(http, door):
    http.post(INFER, content=GOOD)
    http.post(INFER, content=b"{}")
    assert door.inside == 0


def test_without_time_the_answer_is_504(http, door, monkeypatch):
    monkeypatch.setattr(door, "timeout_ms", 0)
    reply = http.post(INFER, content=GOOD)
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline")


def test_what_was_read_too_late_is_not_inferred(http, door, backend, monkeypatch):
    late_s = [0.0]

    def slowly(*arguments):
        late_s[0] = 60.0
        return read_message(*arguments)

    monkeypatch.setattr("compress.serve.core.deadline.monotonic", lambda: time.monotonic() + late_s[0])
    monkeypatch.setattr("compress.serve.oip.routes.read_message", slowly)
    monkeypatch.setattr(backend, "infer", None)  # whoever calls it gets a 500
    reply = http.post(INFER, content=GOOD)
    assert (reply.status_code, reply.json()["error"]) == (504, "10000 ms passed before inference")


def test_a_request_may_ask_for_less_time(http, backend, monkeypatch):
    given = []

    async def infer(model: ModelInfo, images_NCHW: NDArray, admitted: Admitted) -> tuple[NDArray, ...]:
        given.append(admitted.deadline.timeout_ms)
        return (np.zeros((1, 3), np.float32),)

    monkeypatch.setattr(backend, "infer", infer)
    for timeout_us in (1, 7_000, 10**12):
        asked = json.dumps({**json.loads(GOOD), "parameters": {"timeout": timeout_us}})
        assert http.post(INFER, content=asked).status_code == 200
    assert given == [1, 7, 10_000]


def test_while_not_ready_it_lives_and_takes_no_work(http, backend, monkeypatch):
    monkeypatch.setattr(backend, "ready", False)
    for reply in (http.get("/v2/health/ready"), http.get(f"{MODEL}/ready"), http.post(INFER, content=GOOD)):
        assert (reply.status_code, reply.json()["code"]) == (503, "not_ready")
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get(MODEL).status_code == 200
    assert http.post("/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
    assert http.post("/v2/repository/index", content=b'{"ready": true}').json() == []


def test_logits_that_are_not_finite_are_no_answer(http, backend, monkeypatch):
    monkeypatch.setattr(backend.inference, "predict", lambda _: np.array([[1, np.nan, 2]], np.float32))
    reply = http.post(INFER, content=GOOD)
    assert (reply.status_code, reply.json()["code"]) == (500, "bad_model_output")


# -- size and chance


def test_while_a_large_json_is_read_others_are_answered(address, monkeypatch):
    body = json.dumps({"inputs": [tensor(np.empty((16, *CHW)), data=[0.5] * 16 * 3 * 32 * 32)]}).encode()
    reading, go_on = threading.Event(), threading.Event()

    def slowly(*arguments):
        reading.set()
        assert go_on.wait(20)
        return read_message(*arguments)

    monkeypatch.setattr("compress.serve.oip.routes.read_message", slowly)
    with httpx2.Client(base_url=f"http://{address}", timeout=10) as client, ThreadPoolExecutor(1) as sender:
        reply = sender.submit(client.post, INFER, content=body)
        try:
            assert reading.wait(10)
            assert client.get("/v2/health/live").status_code == 200
            assert not reply.done()
        finally:
            go_on.set()
        assert reply.result().json()["outputs"][0]["data"] == [0.5] * 48


def test_a_large_answer_is_written_in_a_thread_and_is_the_same(http, monkeypatch):
    writers = []

    def recorded(*arguments):
        writers.append(threading.current_thread().name)
        return write_outputs(*arguments)

    monkeypatch.setattr("compress.serve.oip.routes.write_outputs", recorded)
    body = GOOD[:-1] + b', "outputs": [{"name": "logits"}, {"name": "probabilities"}], "id": "\xc3\xa9"}'
    small = http.post(INFER, content=body)
    monkeypatch.setattr("compress.serve.oip.routes._INLINE_BYTES", 0)
    large = http.post(INFER, content=body)
    assert small.content == large.content
    assert small.json()["id"] == "é"
    assert writers[0] != writers[1]


def test_a_large_body_that_nobody_reads_does_not_cost_the_answer(address):
    for path, status in (("/v2/models/shapes/infer", 404), (INFER, 413), (INFER, 413)):
        reply = httpx2.post(f"http://{address}{path}", content=bytes(MAX_BODY_BYTES + (1 << 20)), timeout=10)
        assert reply.status_code == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["id", "parameters", "inputs", "outputs", "name", "shape", "datatype", "data", "binary_data_size", "classification"]
)


def _places(node: object) -> list[tuple[object, object]]:
    """Return (container, key) of all fields and elements."""
    if isinstance(node, dict):
        here = [(node, key) for key in node]
    elif isinstance(node, list):
        here = [(node, index) for index in range(min(len(node), 4))]
    else:
        return []
    return here + [place for container, key in here for place in _places(container[key])]


@st.composite
def mangled(draw: st.DrawFn) -> tuple[bytes, dict[str, str]]:
    """Return a good request with a few flaws: in its JSON, its bytes or its header."""
    blob = draw(st.sampled_from([b"", ONE.tobytes(), struct.pack("<I", 5) + b"\xff\xd8\xffab"]))
    name, datatype, shape = (
        ("image_bytes", "BYTES", [1]) if len(blob) == 9 else ("images", "FP32", [1, *CHW])
    )  # fmt: skip
    source = {"parameters": {"binary_data_size": len(blob)}} if blob else {"data": ONE.tolist()}
    content = {
        "id": "1",
        "parameters": {"binary_data_output": draw(st.booleans())},
        "inputs": [{"name": name, "datatype": datatype, "shape": shape, **source}],
        "outputs": [{"name": "logits", "parameters": {"classification": 2}}, {"name": "probabilities"}],
    }
    flaw = draw(st.sampled_from(["none", "json", "json", "header", "bytes"]))
    for _ in range(draw(st.integers(1, 2)) if flaw == "json" else 0):
        container, key = draw(st.sampled_from(_places(content)))
        if isinstance(container, dict) and draw(st.booleans()):
            container[draw(FIELDS | st.text(max_size=8))] = container.pop(key)
        else:
            container[key] = draw(JSON)
    text = json.dumps(content).encode()
    body, length = text + blob, str(len(text))
    if flaw == "header":
        length = draw(
            st.sampled_from(["", "-1", "1e3", str(len(text) + 1), str(len(text) - 1)]) | st.text("0123456789")
        )
    elif flaw == "bytes":
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    return body, {HEADER_LENGTH: length}


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)  # fmt: skip
@given(sent=mangled())
@example(sent=(b'{"id": "\\ud800", "inputs": []}', {}))
@example(sent=(b"\x00" * 40, {HEADER_LENGTH: "40"}))
def test_a_mangled_request_is_answered_or_refused_in_the_one_schema(http, sent):
    body, headers = sent
    reply = http.post(INFER, content=body, headers=headers)
    assert reply.status_code in (200, 400, 415, 422)
    if reply.status_code == 200:
        at = int(reply.headers.get(HEADER_LENGTH, len(reply.content)))
        InferResponse.model_validate(json.loads(reply.content[:at]))
    else:
        fault_of(reply)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    body=st.binary(max_size=200),
    length=st.none() | st.integers(-3, 210).map(str) | st.text("0123456789-+ e", max_size=9),
)
def test_noise_is_refused_in_the_one_schema(http, body, length):
    reply = http.post(INFER, content=body, headers={} if length is None else {HEADER_LENGTH: length})
    assert reply.status_code == 400
    fault_of(reply)
