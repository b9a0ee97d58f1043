"""A file of another tool behind the server: its preprocessing and its class names come from the settings."""

from __future__ import annotations

import onnx
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from compress.serve.app import create_app
from compress.serve.config import ServeConfig
from compress.serve.settings import gather
from tests.runtime.test_outputs import colours


def test_it_is_served_with_its_names(tmp_path, image):
    model = colours("Softmax")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "m.onnx")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "serve.yaml").write_text("models: [m.onnx]\npreprocess: imagenet:32\nlabels: names.txt\nthreads: 1\n")
    config = gather({}, tmp_path / "serve.yaml", {}).config
    with TestClient(create_app(config), base_url="http://localhost") as client:
        reply = client.post("/v1/classify?top_k=1", content=image((20, 60, 230))).json()
    assert reply["predictions"][0]["label"] == "blue"


@pytest.mark.parametrize("text", ["darknet", "imagenet", "{}"])
def test_a_preprocessing_that_cannot_be_is_refused(text):
    with pytest.raises(ValidationError):
        ServeConfig(preprocess=text)
