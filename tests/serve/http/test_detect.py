"""`POST /v1/detect`: boxes as `predict` finds them, thresholds, and what does not belong there."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from compress.data.transforms import read_placed
from compress.errors import UsageError
from compress.graph.metadata import embed_spec
from compress.runtime.detector import open_detector
from compress.serve.core.inference import Inference
from tests.detector_files import DetectorFiles
from tests.serve.http.test_classify import serving

URL = "/v1/detect"
pytestmark = pytest.mark.slow


def found_by_file(path, body: bytes) -> list[list[float]]:
    detector = open_detector(path)
    pixels_HWC, place = read_placed(body, detector.spec.preprocess)
    (boxes,) = detector.detect(pixels_HWC[None], [place])
    return [[round(corner, 2) for corner in corners] for corners in boxes.corners_B4.tolist()]


def turned(width: int = 60, height: int = 40) -> bytes:
    """Return a JPEG that EXIF turns by a quarter."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_the_boxes_are_those_of_the_file_in_pixels_of_the_image(detector_files: DetectorFiles, fmt: str):
    path = getattr(detector_files, fmt)
    with serving([path]) as (client, _):
        for body in [detector_files.images[0].read_bytes(), turned(), turned(900, 30)]:
            reply = client.post(URL, content=body)
            assert reply.status_code == 200
            content = reply.json()
            assert [one["box"] for one in content["detections"]] == found_by_file(path, body)
            assert [one["label"] for one in content["detections"]] == [
                ("nut", "bolt")[one["index"]] for one in content["detections"]
            ]
            scores = [one["score"] for one in content["detections"]]
            assert scores == sorted(scores, reverse=True)
            assert "predictions" not in content


@pytest.mark.parametrize("size", [(1, 1), (10_000, 200)])
def test_images_of_odd_shapes_are_answered(detector_files: DetectorFiles, size: tuple[int, int]):
    file = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(file, "PNG")
    with serving([detector_files.onnx]) as (client, _):
        reply = client.post(URL, content=file.getvalue())
    assert reply.status_code == 200, reply.text
    boxes = [one["box"] for one in reply.json()["detections"]]
    assert boxes == found_by_file(detector_files.onnx, file.getvalue()) != []


def test_an_image_without_boxes_and_one_with_thousands(detector_files: DetectorFiles, tmp_path: Path):
    model = onnx.load(detector_files.onnx)
    spec = open_detector(detector_files.onnx).spec
    every = {"score_threshold": 0.0, "nms_iou": 1.0, "max_candidates": 10_000, "max_boxes": 5_000}
    embed_spec(model, spec.model_copy(update={"boxes": spec.boxes.model_copy(update=every)}))
    onnx.save(model, tmp_path / "every.onnx")
    body = detector_files.images[0].read_bytes()
    with serving([tmp_path / "every.onnx"]) as (client, _):
        many = client.post(URL, content=body)
        none = client.post(f"{URL}?min_score=1.0", content=body)
    assert (many.status_code, len(many.json()["detections"])) == (200, 2 * spec.boxes.anchors)
    assert (none.status_code, none.json()["detections"]) == (200, [])


def test_a_known_image_gets_its_boxes_again(detector_files: DetectorFiles):
    body = detector_files.images[0].read_bytes()
    with serving([detector_files.onnx]) as (client, _):
        first, second = (client.post(URL, content=body).json() for _ in range(2))
    assert (first["cached"], second["cached"]) == (False, True)
    assert second["detections"] == first["detections"] != []


def test_a_request_and_the_settings_may_ask_for_higher_scores(detector_files: DetectorFiles):
    body = detector_files.images[0].read_bytes()
    with serving([detector_files.onnx]) as (client, _):
        every = client.post(URL, content=body).json()["detections"]
        middle = sorted(one["score"] for one in every)[len(every) // 2]
        better = client.post(f"{URL}?min_score={middle:.6f}", content=body).json()["detections"]
    assert better == [one for one in every if one["score"] >= round(middle, 6)]
    assert len(better) < len(every)
    with serving([detector_files.onnx], min_scores={"nut": 1.0}) as (client, _):
        strict = client.post(URL, content=body).json()["detections"]
    assert strict == [one for one in every if one["label"] != "nut"]
    assert 0 < len(strict) < len(every)


def test_the_settings_may_ask_for_lower_scores_of_a_class(detector_files: DetectorFiles, tmp_path: Path):
    model = onnx.load(detector_files.onnx)
    spec = open_detector(detector_files.onnx).spec
    coding = spec.boxes.model_copy(update={"score_threshold": 0.6, "max_boxes": 3000, "max_candidates": 3000})
    embed_spec(model, spec.model_copy(update={"boxes": coding}))
    onnx.save(model, tmp_path / "strict.onnx")
    body = detector_files.images[0].read_bytes()
    with serving([tmp_path / "strict.onnx"], min_scores={"nut": 0.4}) as (client, _):
        found = client.post(URL, content=body).json()["detections"]
    lowest = {label: min(one["score"] for one in found if one["label"] == label) for label in ("nut", "bolt")}
    assert 0.4 <= lowest["nut"] < 0.6 <= lowest["bolt"]


def test_a_threshold_for_an_unknown_class_is_refused(detector_files: DetectorFiles):
    with pytest.raises(UsageError, match=r"min_scores: .* has no class 'screw'"):
        Inference(detector_files.onnx, 1, min_scores={"screw": 0.5})


@pytest.mark.parametrize("query", ["min_score=2", "min_score=", "min_score=nan", "min_score=1e-3", "min_scor=0.5"])
def test_a_score_that_cannot_be_is_refused(detector_files: DetectorFiles, query: str):
    with serving([detector_files.onnx]) as (client, _):
        reply = client.post(f"{URL}?{query}", content=detector_files.images[0].read_bytes())
    assert (reply.status_code, reply.json()["code"]) == (400, "bad_request")
    assert "min_score" in reply.json()["error"]


def test_the_error_of_the_wrong_route_names_the_right_one(detector_files: DetectorFiles, onnx_file, image):
    with serving([detector_files.onnx, onnx_file]) as (client, service):
        detector, classifier = service.models
        wrong = client.post(f"/v1/classify?model={detector}", content=image())
        assert (wrong.status_code, wrong.json()["code"]) == (400, "other_task")
        assert "POST /v1/detect" in wrong.json()["error"]
        wrong = client.post(f"{URL}?model={classifier}", content=image())
        assert "POST /v1/classify" in wrong.json()["error"]
        assert client.post(f"/v1/classify?model={classifier}", content=image()).status_code == 200


def test_several_images_of_a_form_have_boxes_each(detector_files: DetectorFiles):
    files = [("file", (path.name, path.read_bytes())) for path in detector_files.images[:2]]
    with serving([detector_files.onnx]) as (client, _):
        results = client.post(URL, files=[*files, ("file", ("bad.jpg", b"hello"))]).json()["results"]
    assert [one["box"] for one in results[0]["detections"]] == found_by_file(detector_files.onnx, files[0][1][1])
    assert results[1]["filename"] == files[1][1][0]
    assert results[2]["code"] == "unsupported_media_type"


def test_the_inference_protocol_gives_both_tensors(detector_files: DetectorFiles):
    detector = open_detector(detector_files.onnx)
    images_NCHW = np.random.default_rng(0).normal(size=(1, *detector.spec.input_chw)).astype(np.float32)
    tensor = {
        "name": "images",
        "datatype": "FP32",
        "shape": list(images_NCHW.shape),
        "data": images_NCHW.ravel().tolist(),
    }
    with serving([detector_files.onnx]) as (client, service):
        url = f"/v2/models/{service.first.name}"
        known = client.get(url).json()
        reply = client.post(f"{url}/infer", json={"inputs": [tensor]}).json()
        refused = client.post(f"{url}/infer", json={"inputs": [tensor], "outputs": [{"name": "probabilities"}]})
    assert [one["name"] for one in known["outputs"]] == [one["name"] for one in reply["outputs"]] == ["boxes", "logits"]
    assert [one["shape"][1:] for one in known["outputs"]] == [one["shape"][1:] for one in reply["outputs"]]
    for output, wanted in zip(reply["outputs"], detector.answers(images_NCHW), strict=True):
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_array_equal(found, wanted)
    assert refused.status_code == 400
    assert "allowed: boxes, logits" in refused.json()["error"]
