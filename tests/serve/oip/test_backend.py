"""The protocol over the whole application."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from compress.serve.core.inference import Inference


def tensors(images_NCHW: np.ndarray) -> str:
    data = images_NCHW.reshape(-1).tolist()
    return json.dumps(
        {"inputs": [{"name": "images", "datatype": "FP32", "shape": list(images_NCHW.shape), "data": data}]}
    )


def images(*bodies: bytes) -> tuple[bytes, dict[str, str]]:
    blob = b"".join(struct.pack("<I", len(body)) + body for body in bodies)
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "image_bytes",
                    "datatype": "BYTES",
                    "shape": [len(bodies)],
                    "parameters": {"binary_data_size": len(blob)},
                }
            ]
        }
    ).encode()
    return head + blob, {"Inference-Header-Content-Length": str(len(head))}


def test_tensors_are_answered_as_the_model_answers(client, onnx_file):
    images_NCHW = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    reply = client.post("/v2/models/colours/infer", content=tensors(images_NCHW))
    found = np.array(reply.json()["outputs"][0]["data"], np.float32).reshape(2, 3)
    np.testing.assert_array_equal(found, Inference(onnx_file, 1).predict(images_NCHW)[0])


def test_images_are_answered_as_by_the_other_route_and_leave_no_place_taken(client, image):
    bodies = [image((220, 60, 20)), image((20, 60, 230))]
    content, headers = images(*bodies)
    reply = client.post("/v2/models/colours/infer", content=content, headers=headers)
    logits = np.array(reply.json()["outputs"][0]["data"]).reshape(2, 3)
    best = [client.post("/v1/classify", content=body).json()["predictions"][0]["index"] for body in bodies]
    assert logits.argmax(axis=1).tolist() == best == [0, 2]
    assert client.get("/readyz").json()["in_flight"] == 0


@pytest.mark.parametrize(("bad", "status"), [(b"hello", 415), (b"\xff\xd8\xff\xe0", 422)])
def test_a_bad_image_among_good_ones_is_the_answer(client, image, bad, status):
    content, headers = images(image(), bad)
    reply = client.post("/v2/models/colours/infer", content=content, headers=headers)
    assert reply.status_code == status
    assert client.get("/readyz").json()["in_flight"] == 0


def test_another_version_is_not_served(client):
    version = client.get("/v2/models/colours").json()["versions"][0]
    assert client.get(f"/v2/models/colours/versions/{version}/ready").status_code == 200
    reply = client.get("/v2/models/colours/versions/0")
    assert (reply.status_code, reply.json()["code"]) == (404, "unknown_version")
    assert version in reply.json()["error"]


def test_the_document_knows_the_protocol(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/v1/classify", "/v2", "/v2/models/{name}/infer", "/healthz", "/metrics"} <= set(paths)
