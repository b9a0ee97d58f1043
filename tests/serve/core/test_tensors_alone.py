"""A file of another tool without preprocessing: served for tensors alone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient

from compress.core.preprocess import Preprocess
from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from compress.serve.core.inference import Inference


@pytest.fixture
def foreign(onnx_file, tmp_path):
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    return tmp_path / "foreign.onnx"


def test_tensors_are_answered_and_images_are_told_why_not(foreign, image):
    app = create_app(ServeConfig(models=[foreign], threads=1))
    with TestClient(app, base_url="http://localhost") as client:
        values = np.zeros((1, 3, 32, 32), np.float32)
        values[0, 2] = 1.0
        tensor = {"name": "images", "datatype": "FP32", "shape": list(values.shape), "data": values.ravel().tolist()}
        told = client.get("/v2/models/foreign").json()
        tensor["name"] = told["inputs"][0]["name"]
        reply = client.post("/v2/models/foreign/infer", json={"inputs": [tensor]})
        assert reply.status_code == 200, reply.text
        assert reply.json()["outputs"][0]["data"] == [0.0, 0.0, 1.0]
        refused = client.post("/v1/classify", content=image())
        assert (refused.status_code, refused.json()["code"]) == (400, "no_preprocessing")
        assert "--preprocess" in refused.json()["error"]
        assert "/v2/models/foreign/infer" in refused.json()["error"]


def test_with_a_preprocessing_images_are_taken(foreign):
    assert not Inference(foreign, 1).takes_images
    assert Inference(foreign, 1, preprocess=Preprocess(resize_px=32, crop_px=32)).takes_images
