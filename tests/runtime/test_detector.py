"""One detector, three runtimes, the same boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from compress.data.transforms import read_placed
from compress.detect.answers import Boxes, boxes_of
from compress.detect.draw import write_drawn
from compress.detect.match import matched
from compress.errors import ModelFileError, StageError, UsageError
from compress.runtime.detector import Detector, is_detector, open_detector
from compress.runtime.open import open_predictor
from tests.detector_files import SIDE, DetectorFiles

pytestmark = pytest.mark.slow


def found(detector: Detector, files: DetectorFiles, **options: float) -> list[Boxes]:
    placed = [read_placed(path, detector.spec.preprocess) for path in files.images[:3]]
    pixels_NHWC = np.stack([pixels for pixels, _ in placed])
    return detector.detect(pixels_NHWC, [place for _, place in placed], **options)


def test_every_format_finds_the_same_boxes(detector_files: DetectorFiles):
    wanted = found(open_detector(detector_files.torch), detector_files)
    assert min(len(boxes) for boxes in wanted) >= 3
    for path in (detector_files.onnx, detector_files.tflite):
        for boxes, expected in zip(found(open_detector(path), detector_files), wanted, strict=True):
            assert matched(boxes, expected, 0.99) == len(expected) == len(boxes)
            np.testing.assert_allclose(boxes.scores_B, expected.scores_B, atol=1e-4)


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_one_image_alone_gives_the_boxes_it_gives_among_others(detector_files: DetectorFiles, fmt: str):
    detector = open_detector(getattr(detector_files, fmt))
    together = found(detector, detector_files)
    pixels_HWC, place = read_placed(detector_files.images[1], detector.spec.preprocess)
    (alone,) = detector.detect(pixels_HWC[None], [place])
    assert matched(alone, together[1], 0.99) == len(alone) == len(together[1])


def test_boxes_lie_in_their_image(detector_files: DetectorFiles):
    detector = open_detector(detector_files.onnx)
    for boxes, path in zip(found(detector, detector_files, score_threshold=0.01), detector_files.images, strict=False):
        _, place = read_placed(path, detector.spec.preprocess)
        assert (boxes.corners_B4 >= 0).all()
        assert (boxes.corners_B4 <= np.array(place.size * 2)).all()
        assert boxes.corners_B4[:, 2].max() > SIDE, "wider than the network's square"


@pytest.mark.parametrize("size", [(1, 1), (10_000, 200), (200, 10_000), (1, 5_000)])
def test_boxes_of_odd_images_lie_in_them(detector_files: DetectorFiles, tmp_path: Path, size: tuple[int, int]):
    Image.effect_noise(size, 80).convert("RGB").save(tmp_path / "odd.png")
    detector = open_detector(detector_files.onnx)
    pixels_HWC, place = read_placed(tmp_path / "odd.png", detector.spec.preprocess)
    (boxes,) = detector.detect(pixels_HWC[None], [place], score_threshold=0.01)
    assert len(boxes) > 0
    assert (boxes.corners_B4 >= 0).all()
    assert (boxes.corners_B4 <= np.array(size * 2)).all()


def test_no_boxes_and_thousands_of_boxes(detector_files: DetectorFiles, tmp_path: Path):
    detector = open_detector(detector_files.onnx)
    for boxes in found(detector, detector_files, score_threshold=1.0):
        assert (len(boxes), boxes.corners_B4.shape) == (0, (0, 4))
    every = {"score_threshold": 0.0, "nms_iou": 1.0, "max_candidates": 10_000, "max_boxes": 5_000}
    sides = detector.coding.maps[0].model_copy(update={"rows": 50, "columns": 50})
    coding = detector.coding.model_copy(update={**every, "maps": (sides,)})
    rng = np.random.default_rng(0)
    raw_NA4, logits_NAK = rng.normal(size=(1, coding.anchors, 4)), rng.normal(size=(1, coding.anchors, 3))
    (boxes,) = boxes_of(raw_NA4.astype(np.float32), logits_NAK.astype(np.float32), coding)
    assert len(boxes) == 5_000
    assert (np.diff(boxes.scores_B) <= 0).all()
    drawn = write_drawn(tmp_path, "a.png", Image.new("RGB", (64, 64)), boxes, detector.spec.labels)
    with Image.open(drawn) as image:
        assert image.size == (64, 64)


def test_the_threshold_may_be_another(detector_files: DetectorFiles):
    detector = open_detector(detector_files.onnx)
    more = found(detector, detector_files, score_threshold=0.05)[0]
    middle = float(np.median(more.scores_B))
    some = found(detector, detector_files, score_threshold=middle)[0]
    assert 0 < len(some) < len(more)
    assert some.scores_B.min() >= middle - 1e-6


def test_a_detector_is_told_from_a_classifier(detector_files: DetectorFiles, tiny):
    assert all(map(is_detector, (detector_files.torch, detector_files.onnx, detector_files.tflite)))
    classifier = tiny.onnx(spec=tiny.spec())
    assert not is_detector(classifier)
    with pytest.raises(UsageError, match="finds no boxes"):
        open_detector(classifier)
    for path in (detector_files.torch, detector_files.onnx, detector_files.tflite):
        with pytest.raises(UsageError, match="finds boxes and names no image"):
            open_predictor(path)
    for path in (detector_files.onnx, detector_files.tflite):  # as the server opens them
        with pytest.raises(UsageError, match="finds boxes and names no image"):
            open_predictor(path, content=path.read_bytes())


def test_outputs_of_other_names_are_refused(detector_files: DetectorFiles, tmp_path: Path):
    model = onnx.load(detector_files.onnx)
    model.graph.output[0].name = "scores"
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == "boxes":
                node.output[index] = "scores"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelFileError, match="its outputs are scores, logits"):
        open_detector(tmp_path / "other.onnx")


def test_answers_of_another_shape_are_refused(detector_files: DetectorFiles):
    detector = open_detector(detector_files.onnx)
    narrow = detector.coding.model_copy(update={"maps": detector.coding.maps[:-1]})
    changed = Detector(**{**vars(detector), "coding": narrow})
    with pytest.raises(ModelFileError, match="its spec says"):
        found(changed, detector_files)


def test_images_of_another_size_are_refused(detector_files: DetectorFiles):
    with pytest.raises(StageError, match="takes float32 images"):
        open_detector(detector_files.onnx).answers(np.zeros((1, 3, 64, 64), np.float32))


def test_a_file_that_is_gone_is_said(tmp_path: Path):
    with pytest.raises(ModelFileError, match="no such model file"):
        open_detector(tmp_path / "gone.onnx")
