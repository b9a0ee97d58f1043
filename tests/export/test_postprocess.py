"""Files that find the boxes themselves: what they answer, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from compress.core.artifact import Artifact, StageOutput
from compress.core.boxes import BoxCoding
from compress.core.dataset import BoxesData, FolderData
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.data.transforms import preprocess_files
from compress.detect.answers import Boxes, boxes_of
from compress.errors import CheckError, UsageError
from compress.export import detector as under_test
from compress.export.config import ExportConfig
from compress.export.onnx_detections import with_detections as onnx_tail
from compress.export.postprocess import SameBoxes
from compress.export.stage import run
from compress.lower.walk import lower
from compress.quantize.config import QuantizeConfig
from compress.quantize.stage import run as quantize
from compress.runtime.detections import open_detections
from compress.runtime.detector import Detector, open_detector
from tests.detector_files import DetectorFiles, TrainedDetector, artifact_of
from tests.raw_numbers import assert_same

pytestmark = pytest.mark.slow


def exported(
    source: Artifact, folder: Path, data: BoxesData | None, *, postprocess: bool = True, **options: object
) -> StageOutput:
    folder.mkdir(parents=True, exist_ok=True)
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=data)
    return run(ExportConfig(postprocess=postprocess, **options), {"from": source}, ctx)


@pytest.fixture(scope="module")
def sources(trained_detector: TrainedDetector, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Return the trained detector, and it in int8."""
    folder = tmp_path_factory.mktemp("int8")
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=trained_detector.data)
    config = QuantizeConfig(calibration_count=12, reconstruct={"steps": 0})
    made = quantize(config, {"from": trained_detector.artifact}, ctx)
    rounded = artifact_of(folder / made.file_name, made.spec).model_copy(update={"format": Format.ONNX})
    return {"float": trained_detector.artifact, "int8": rounded}


def images_of(detector: Detector, data: BoxesData) -> np.ndarray:
    files = sorted((data.path / "images").glob("test-*.png"))
    return preprocess_files(files, detector.spec.preprocess)


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
@pytest.mark.parametrize(("source", "precision"), [("float", "fp32"), ("float", "fp16"), ("int8", "int8")])
def test_the_file_finds_our_boxes_and_its_raw_numbers_stay(
    sources: dict[str, Artifact],
    trained_detector: TrainedDetector,
    tmp_path: Path,
    fmt: str,
    source: str,
    precision: str,
):
    options = {"format": fmt, "precision": precision, "parity": {"min_agreement_pct": 90.0}}
    raw, with_boxes = (
        exported(sources[source], tmp_path / name, trained_detector.data, postprocess=name == "boxes", **options)
        for name in ("raw", "boxes")
    )
    path = tmp_path / "boxes" / f"model.{fmt}"
    detector, plain = open_detector(path), open_detector(tmp_path / "raw" / path.name)
    images_NCHW = images_of(detector, trained_detector.data)
    answers, before = detector.answers(images_NCHW), plain.answers(images_NCHW)
    for ours, theirs in zip(answers, before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    inside = open_detections(path, detector.spec.preprocess)(images_NCHW)
    assert sum(map(len, inside)) >= len(images_NCHW)
    for found, wanted in zip(inside, boxes_of(*answers, detector.coding), strict=True):
        assert_same(found, wanted)
    assert with_boxes.metrics["postprocess_agreement_pct"] == 100
    of_the_network = {"int8_weight_pct", "float_ops", "float_op_names", "lossless_grids", "lossless_integers"}
    assert {key: with_boxes.metrics.get(key) for key in of_the_network} == {
        key: raw.metrics.get(key) for key in of_the_network
    }


def test_many_boxes_at_the_sides_are_ours_in_onnx(detector_files: DetectorFiles, tmp_path: Path):
    data = BoxesData(kind="coco", path=detector_files.data)
    source = artifact_of(detector_files.torch, open_detector(detector_files.torch).spec)
    metrics = exported(source, tmp_path, data, format="onnx", opset=14).metrics
    assert metrics["postprocess_agreement_pct"] == 100
    detector = open_detector(tmp_path / "model.onnx")
    inside = open_detections(detector.path, detector.spec.preprocess)(images_of(detector, data))
    assert min(map(len, inside)) == 100
    assert min(boxes.corners_B4.min() for boxes in inside) == 0, "cut at the sides"


def test_the_network_stays_one_piece_for_xnnpack(sources: dict[str, Artifact], tmp_path: Path):
    from ai_edge_litert.interpreter import Interpreter

    exported(sources["float"], tmp_path, None, format="tflite")
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    interpreter.allocate_tensors()
    operators = [one["op_name"] for one in interpreter._get_ops_details()]
    (tail,) = [index for index, name in enumerate(operators) if name == "TFLite_Detection_PostProcess"]
    assert operators[tail - 2 : tail] == ["SOFTMAX", "GATHER"]
    assert operators.count("DELEGATE") <= 2, "the network, and the softmax where XNNPACK leaves out the Concat"


def test_a_file_with_boxes_is_a_source_like_the_one_without(sources: dict[str, Artifact], tmp_path: Path):
    exported(sources["int8"], tmp_path / "once", None, format="onnx")
    made = tmp_path / "once" / "model.onnx"
    source = artifact_of(made, open_detector(made).spec).model_copy(update={"format": Format.ONNX})
    exported(source, tmp_path / "twice", None, format="onnx", postprocess=False)
    exported(sources["int8"], tmp_path / "raw", None, format="onnx", postprocess=False)
    assert (tmp_path / "twice" / "model.onnx").read_bytes() == (tmp_path / "raw" / "model.onnx").read_bytes()


@pytest.mark.parametrize("fmt", ["onnx", "tflite"])
def test_a_file_that_finds_other_boxes_than_ours_is_not_left(
    sources: dict[str, Artifact], trained_detector: TrainedDetector, tmp_path: Path, monkeypatch, fmt: str
):
    def turned(coding: BoxCoding) -> BoxCoding:
        return coding.model_copy(update={"order": "yxhw"})

    monkeypatch.setattr(under_test, "with_detections", lambda model, coding, n: onnx_tail(model, turned(coding), n))
    monkeypatch.setattr(
        under_test, "lower", lambda model, half, boxes=None: lower(model, half=half, boxes=boxes and turned(boxes))
    )
    with pytest.raises(CheckError, match="its own post-processing finds") as caught:
        exported(sources["float"], tmp_path, trained_detector.data, format=fmt)
    assert not list(tmp_path.iterdir())
    assert "min_agreement_pct" in caught.value.hint
    taken = {"parity": {"min_agreement_pct": 0.0}}
    assert exported(sources["float"], tmp_path, trained_detector.data, format=fmt, **taken).metrics


def test_a_classifier_is_refused(tiny, photos: Path, tmp_path: Path):
    path = tiny.onnx(spec=tiny.spec())
    source = artifact_of(path, tiny.spec()).model_copy(update={"format": Format.ONNX})
    with pytest.raises(UsageError, match="`postprocess` is for detectors, and 'train'") as caught:
        exported(source, tmp_path / "out", FolderData(path=photos), format="onnx")
    assert (caught.value.exit_code, caught.value.hint) == (2, "leave `postprocess` out")


def test_a_target_without_floats_is_refused():
    with pytest.raises(ValidationError, match="postprocess finds boxes in float, and target mcu gives integers"):
        ExportConfig(format="tflite", target="mcu", postprocess=True)
    assert ExportConfig(format="tflite", target="cpu-xnnpack", postprocess=True)


def boxes(*rows: tuple[float, int]) -> Boxes:
    """Return boxes of these scores and classes, beside each other."""
    places = np.array([[0.1 * at, 0, 0.1 * at + 0.1, 1] for at, _ in enumerate(rows)], np.float32).reshape(-1, 4)
    return Boxes(places, np.array([row[0] for row in rows], np.float32), np.array([row[1] for row in rows], np.int64))


@pytest.mark.parametrize(
    ("inside", "pct"),
    [
        (boxes((0.9, 0), (0.5, 1)), 100),
        (boxes((0.9, 0), (0.50005, 1)), 100),
        (boxes((0.9, 0)), 100 * 2 / 3),
        (boxes((0.9, 0), (0.5, 0)), 50),
        (boxes((0.9, 0), (0.49, 1)), 50),
        (boxes((0.9, 0), (0.5, 1), (0.30001, 1)), 100),  # within rounding of the threshold
        (boxes((0.9, 0), (0.5, 1), (0.4, 1)), 100 * 4 / 5),
    ],
)
def test_boxes_are_the_same_by_class_score_and_place(inside: Boxes, pct: float):
    same = SameBoxes()
    same.add(boxes((0.9, 0), (0.5, 1)), inside, 0.3)
    assert same.held(Path("model.onnx"), 0)["postprocess_agreement_pct"] == pytest.approx(pct)
