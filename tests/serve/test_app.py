"""The application over HTTP: answers, abuse, load."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import subprocess
import sys
import zlib

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from compress.core.digest import sha256_file
from compress.data.transforms import preprocess_files, read_placed
from compress.serve.app import app_of, create_app
from compress.serve.config import ServeConfig
from compress.serve.core.service import Service
from tests.waiting import until

URL = "/v1/classify"


def test_the_answer_has_all_its_fields(client, image, onnx_file):
    reply = client.post(URL, params={"top_k": 2}, content=image(), headers={"X-Request-Id": "mine-1"})
    assert reply.status_code == 200
    body = reply.json()
    assert list(body) == ["id", "model", "version", "precision", "degraded", "cached", "predictions", "timing_ms"]
    assert (body["id"], body["model"], body["precision"]) == ("mine-1", "colours", "fp32")
    assert body["version"] == sha256_file(onnx_file)[:12]
    assert [set(p) for p in body["predictions"]] == [{"index", "label", "score"}] * 2
    first, second = body["predictions"]
    assert (first["index"], first["label"]) == (0, "red")
    assert 1 >= first["score"] >= second["score"] >= 0
    timing = body["timing_ms"]
    assert 0 < timing["decode"] + timing["infer"] <= timing["total"] + 0.01
    assert reply.headers["x-request-id"] == "mine-1"


def test_fewer_classes_than_asked_for_are_all_of_them(client, image):
    scores = [p["score"] for p in client.post(URL, content=image()).json()["predictions"]]
    assert len(scores) == 3
    assert sum(scores) == pytest.approx(1)


def test_the_model_is_given_what_evaluation_gives_it_bit_for_bit(held, onnx_file, photos, spec, image, tmp_path):
    large = tmp_path / "large.jpg"  # so much larger than the model's input that it is decoded at a reduced scale
    large.write_bytes(image(size=(1203, 801)))
    paths = [large, *sorted((photos / "test").rglob("*.jpg"))]
    with TestClient(create_app(ServeConfig(models=[onnx_file], threads=1)), base_url="http://localhost") as client:
        held.inputs.clear()  # the warm-up's
        for path in paths:
            assert client.post(URL, content=path.read_bytes()).status_code == 200
    served_NCHW = np.concatenate(held.inputs)
    assert served_NCHW.dtype == np.float32
    np.testing.assert_array_equal(served_NCHW, preprocess_files(paths, spec.preprocess))


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_ready_says_which_model_is_warm(client, path):
    body = client.get(path).json()
    assert (body["status"], body["model"], body["num_classes"], body["input_px"]) == ("ok", "colours", 3, 32)


def test_before_the_start_it_lives_but_is_not_ready(onnx_file, image):
    client = TestClient(
        create_app(ServeConfig(models=[onnx_file])), base_url="http://localhost"
    )  # no lifespan without `with`
    assert client.get("/livez").json() == {"status": "alive"}
    for reply in (client.get("/healthz"), client.get("/readyz"), client.post(URL, content=image())):
        assert (reply.status_code, reply.json()["code"]) == (503, "not_ready")
        assert "retry-after" in reply.headers


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


ABUSE = {
    "empty": (b"", {}, {}, 400, "empty_body"),
    "top_k 0": (b"x", {"top_k": "0"}, {}, 400, "bad_request"),
    "top_k text": (b"x", {"top_k": "five"}, {}, 400, "bad_request"),
    "top_k huge": (b"x", {"top_k": "9" * 400}, {}, 400, "bad_request"),
    "too large": (b"\xff\xd8\xff" + bytes(11 << 20), {}, {}, 413, "too_large"),
    "json": (b"{}", {}, {"content-type": "application/json"}, 415, "unsupported_media_type"),
    "multipart": (b"--x", {}, {"content-type": "multipart/form-data; boundary=x"}, 400, "bad_request"),
    "svg": (
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        {},
        {"content-type": "image/svg+xml"},
        415,
        "unsupported_media_type",
    ),
    "text": (b"hello", {}, {}, 415, "unsupported_media_type"),
    "jpeg start only": (b"\xff\xd8\xff\xe0", {}, {}, 422, "bad_image"),
    "30000 x 30000": (_png(30_000, 30_000), {}, {}, 422, "bad_image"),
    "bomb": (_png(20_000, 20_000, zlib.compress(bytes(20_000 * 100))), {}, {}, 422, "bad_image"),
    "no pixels": (_png(64, 64), {}, {}, 422, "bad_image"),
    "zero wide": (_png(0, 64), {}, {}, 422, "bad_image"),
}


@pytest.mark.parametrize("name", ABUSE)
def test_abuse_gets_its_own_status_in_the_one_schema(client, name):
    body, params, headers, status, code = ABUSE[name]
    reply = client.post(URL, params=params, content=body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert set(reply.json()) == {"error", "code", "request_id"}
    assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.text
    assert "/" not in re.sub(r"image/\S+|application/\S+|multipart/\S+", "", reply.json()["error"]), "no path leaks"


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_jpeg_is_a_bad_image(client, image, kept):
    body = image(size=(400, 300))
    reply = client.post(URL, content=body[: int(len(body) * kept)])
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_image")


def test_an_animated_image_gets_a_defined_answer(client):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    reply = client.post(URL, content=file.getvalue())
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_image")


def test_unknown_paths_and_methods(client):
    missing, wrong = client.get("/v2/../etc"), client.get(URL)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert client.delete("/").status_code == 405


def test_a_bug_is_told_without_its_inside(held, onnx_file, image, monkeypatch):
    app = create_app(ServeConfig(models=[onnx_file]))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        monkeypatch.setattr(held, "predict", lambda _: 1 / 0)
        reply = client.post(URL, content=image(), headers={"X-Request-Id": "b"})
    assert (reply.status_code, reply.json()["code"]) == (500, "internal")
    assert "division" not in reply.text
    assert reply.headers["x-request-id"] == reply.json()["request_id"] == "b"


def test_one_bad_image_among_many_fails_alone_and_each_reply_is_its_own(onnx_file, image, spec):
    rng = np.random.default_rng(7)
    bodies = [image(tuple(int(v) for v in rng.integers(20, 236, 3)), kind="PNG") for _ in range(60)]
    bodies[11] = bodies[11][:100]
    app = create_app(ServeConfig(models=[onnx_file], threads=4, max_queue=100))

    async def scenario():
        async with (
            app.app.router.lifespan_context(app.app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost") as client,
        ):
            posts = [client.post(URL, content=b, headers={"X-Request-Id": f"r{i}"}) for i, b in enumerate(bodies)]
            return await asyncio.gather(*posts)

    replies = asyncio.run(scenario())
    assert [reply.status_code for reply in replies] == [422 if i == 11 else 200 for i in range(60)]
    seen = set()
    for i, (body, reply) in enumerate(zip(bodies, replies, strict=True)):
        assert reply.headers["x-request-id"] == f"r{i}"
        if i == 11:
            continue
        pixels = np.asarray(Image.open(io.BytesIO(body)), np.float64).mean(axis=(0, 1)) / 255
        logits = (pixels - spec.preprocess.mean) / spec.preprocess.std
        expected = np.exp(logits) / np.exp(logits).sum()
        found = {p["index"]: p["score"] for p in reply.json()["predictions"]}
        assert [found[k] for k in range(3)] == pytest.approx(list(expected), abs=0.02)
        seen.add(round(found[0], 9))
    assert len(seen) == 59, "different images, different answers"


def test_late_work_is_told_504_and_keeps_its_place_until_it_ends(held, onnx_file, image):
    app = create_app(ServeConfig(models=[onnx_file], threads=1, max_queue=0, timeout_ms=300))
    with TestClient(app, base_url="http://localhost") as client:
        held.go_on.clear()
        late = client.post(URL, content=image())
        assert (late.status_code, late.json()["code"]) == (504, "deadline")
        busy = client.post(URL, content=image())
        assert (busy.status_code, busy.json()["code"]) == (503, "overloaded")
        held.go_on.set()
        assert until(lambda: reply if (reply := client.post(URL, content=image())).status_code != 503 else None)


def test_work_whose_time_ran_out_in_the_queue_is_neither_decoded_nor_inferred(held, onnx_file, image, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "compress.serve.core.work.read_placed", lambda *a, **more: decoded.append(1) or read_placed(*a, **more)
    )
    app = create_app(ServeConfig(models=[onnx_file], threads=1, max_queue=4, timeout_ms=300))
    with TestClient(app, base_url="http://localhost") as client:
        held.inputs.clear()
        decoded.clear()
        held.go_on.clear()
        assert [client.post(URL, content=image()).status_code for _ in range(3)] == [504] * 3
        held.go_on.set()
    assert (len(decoded), len(held.inputs)) == (1, 1), "the two that waited were dropped"


def test_a_litert_file_is_served_alike(tflite_file, image):
    with TestClient(create_app(ServeConfig(models=[tflite_file], threads=2)), base_url="http://localhost") as client:
        body = client.post(URL, content=image((10, 30, 240))).json()
    assert body["predictions"][0]["label"] == "blue"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_serving_imports_no_training_framework(kind, onnx_file, tflite_file, photos):
    code = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from compress.serve.app import create_app
from compress.serve.config import ServeConfig
with TestClient(create_app(ServeConfig(models=[Path(sys.argv[1])], threads=1)), base_url="http://localhost") as client:
    assert client.post("/v1/classify", content=Path(sys.argv[2]).read_bytes()).status_code == 200
print(sorted({"torch", "torchvision", "tensorflow", "onnx", "timm"} & set(sys.modules)))
"""
    image = next((photos / "test").rglob("*.jpg"))
    model = onnx_file if kind == "onnx" else tflite_file
    done = subprocess.run([sys.executable, "-c", code, model, image], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_server_that_only_a_restart_helps_says_so_to_its_supervisor(onnx_file):
    service = Service(ServeConfig(models=[onnx_file], threads=1))
    client = TestClient(app_of(service), base_url="http://localhost")  # not started: nothing watches the memory here
    assert client.get("/livez").status_code == 200
    service.memory.hopeless = True
    reply = client.get("/livez")
    assert (reply.status_code, reply.json()["code"]) == (503, "not_ready")


def test_while_memory_is_short_only_monitors_are_answered(onnx_file):
    service = Service(ServeConfig(models=[onnx_file], threads=1))
    client = TestClient(app_of(service), base_url="http://localhost")
    service.admission.refusing = True
    for path in ("/", "/docs", "/openapi.json", "/v2", "/v2/models/colours", "/nowhere"):
        assert client.get(path).json()["code"] == "overloaded", path
    for path in ("/livez", "/metrics"):
        assert client.get(path).status_code == 200, path
    for path in ("/readyz", "/healthz", "/v2/health/ready", "/v2/health/live"):
        assert b"overloaded" not in client.get(path).content, path


KEYED = {"threads": 1, "api_key": "secret"}


def test_without_the_key_health_says_only_that_it_is_well(onnx_file):
    with TestClient(create_app(ServeConfig(models=[onnx_file], **KEYED)), base_url="http://localhost") as client:
        for path in ("/healthz", "/readyz"):
            assert client.get(path).json() == {"status": "ok"}
            assert client.get(path, headers={"X-API-Key": "guess"}).json() == {"status": "ok"}
            told = client.get(path, headers={"X-API-Key": "secret"}).json()
            assert told["labels_first"] == ["red", "green", "blue"]


def test_health_tells_everybody_when_it_is_asked_to(onnx_file):
    app = create_app(ServeConfig(models=[onnx_file], public_health=True, **KEYED))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/healthz").json()["sha256"] == sha256_file(onnx_file)


@pytest.mark.parametrize("path", ["/", "/healthz", URL, "/v2", "/docs", "/metrics"])
def test_a_page_whose_name_leads_to_this_machine_is_not_answered(client, path):
    reply = client.get(path, headers={"Host": "evil.example"})
    assert (reply.status_code, reply.json()["code"]) == (421, "unknown_host")
    assert "allowed_hosts" in reply.json()["error"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "x" * 500])
def test_a_compressed_body_is_told_that_it_is_not_read(client, image, encoding):
    reply = client.post(URL, content=image(), headers={"Content-Encoding": encoding})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_encoding")
    assert len(reply.json()["error"]) < 200
    assert client.post(URL, content=image(), headers={"Content-Encoding": "identity"}).status_code == 200
