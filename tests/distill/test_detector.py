"""Distilling detectors; see test_stage.py for what classifiers learn."""

from __future__ import annotations

from itertools import combinations, pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compress.core.boxes import ssd_coding
from compress.core.dataset import FolderData
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.distill.config import DistillConfig
from compress.distill.detector import BoxObjective
from compress.distill.stage import run
from compress.engine.checkpoint import CHECKPOINT_FILE
from compress.engine.detection.batches import BACKGROUND, BoxBatch, targets_of
from compress.engine.detection.losses import detection_loss, imitation_loss
from compress.engine.detection.options import DetectOptions
from compress.errors import DataError, StageError, UsageError
from compress.models.build import build_model, new_spec, output_modules, stem_module
from compress.models.detectors import new_detector_spec
from compress.models.weights import load_model, save_model
from compress.prune.prunable_network import PrunableNetwork
from tests.detector_files import ARCH, LABELS, SIDE, artifact_of

pytestmark = pytest.mark.slow

PLAIN = {"iou_crop": 0, "zoom_out": 0, "photometric": 0}
FIT = {"epochs": 2, "batch_size": 4, "lr": 2e-3, "warmup_epochs": 0, "keep": "last"}


class Heard(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def info(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


class KilledError(Exception):
    """Stands for SIGKILL between two epochs."""


@pytest.fixture(scope="module")
def inputs(trained_detector, tmp_path_factory):
    """Return a student, the first tenth of whose channels in each group is gone, and the whole one as its teacher."""
    model, spec = load_model(trained_detector.artifact.path)
    network = PrunableNetwork(model, spec.input_chw, heads=output_modules(spec), protected=[stem_module(spec)])
    kept = {root: torch.arange(width // 10, width) for root, width in network.widths().items()}
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    student = artifact_of(path, save_model(path, network.cut(kept), spec))
    return {"from": student.model_copy(update={"stage_id": "prune"}), "teacher": trained_detector.artifact}


def _run(detector, inputs, folder, reporter=None, **options):
    config = DistillConfig.model_validate({"fit": FIT, "detect": PLAIN} | options)
    return run(config, inputs, RunContext(folder, 0, detector.data, reporter=reporter or SilentReporter()))


def _saved(folder, name, spec, seed=0):
    path = folder / f"{name}.safetensors"
    return artifact_of(path, save_model(path, build_model(spec, seed=seed), spec))


def _tensors(folder):
    return load_file(folder / "model.safetensors")


def _same(a, b):
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def _distance(student, teacher, images_NCHW):
    """Return how far the answers of a file are from those of another."""
    answers = []
    for path in (student, teacher):
        model, spec = load_model(path)
        with torch.no_grad():
            answers.append(model.eval()(images_NCHW))
    return imitation_loss(*answers, spec.boxes).item()


def test_a_pruned_detector_learns_from_the_whole_one(trained_detector, inputs, tmp_path):
    heard = Heard()
    output = _run(trained_detector, inputs, tmp_path / "out", heard, alpha=1.0)
    metrics = output.metrics
    wanted = {"map_pct", "student_before_map_pct", "teacher_map_pct", "best_epoch", "params", "macs"}
    assert metrics.keys() == wanted
    assert 100 >= metrics["teacher_map_pct"] > metrics["map_pct"] > metrics["student_before_map_pct"] >= 0
    _, spec = load_model(tmp_path / "out" / output.file_name)
    assert spec == output.spec == inputs["from"].spec
    assert spec.macs == metrics["macs"] < trained_detector.artifact.spec.macs
    assert not (tmp_path / "out" / CHECKPOINT_FILE).exists()
    texts = [f"{metrics[name]:.2f} %" for name in ("teacher_map_pct", "student_before_map_pct")]
    assert f"validation mAP: teacher {texts[0]}, student before {texts[1]}" in heard.said
    assert heard.warned == []
    images_NCHW = torch.randn(4, *spec.input_chw, generator=torch.Generator().manual_seed(0))
    before, after = (
        _distance(student, inputs["teacher"].path, images_NCHW)
        for student in (inputs["from"].path, tmp_path / "out" / output.file_name)
    )
    assert after < 0.9 * before


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        ({"input_px": 160}, "anchors and coding"),
        ({"labels": LABELS[::-1]}, "classes"),
        ({"labels": ("nut", "screw")}, "classes"),
        ({"mean": (0.4, 0.5, 0.6)}, "preprocessing"),
    ],
)
def test_a_teacher_whose_numbers_mean_something_else_is_refused_by_name(
    trained_detector, inputs, tmp_path, change, odd
):
    mean = change.pop("mean", None)
    spec = new_detector_spec(ARCH, **({"labels": LABELS, "input_px": SIDE} | change))
    if mean:
        spec = spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update={"mean": mean})})
    teacher = _saved(tmp_path, "other", spec)
    with pytest.raises(UsageError, match=rf"other\.safetensors: its {odd} are not the student's") as error:
        _run(trained_detector, {**inputs, "teacher": teacher}, tmp_path / "out")
    assert "same input_px" in error.value.hint


def test_a_classifier_cannot_teach_a_detector(trained_detector, inputs, tmp_path):
    teacher = _saved(tmp_path, "classifier", new_spec("tiny", LABELS, SIDE))
    with pytest.raises(UsageError, match=r"classifier\.safetensors: its anchors and coding are not the student's"):
        _run(trained_detector, {**inputs, "teacher": teacher}, tmp_path / "out")


def test_an_onnx_file_cannot_teach_a_detector(trained_detector, inputs, tmp_path):
    changes = {"format": Format.ONNX, "path": tmp_path / "teacher.onnx"}
    teacher = inputs["teacher"].model_copy(update=changes)
    with pytest.raises(UsageError, match=r"teacher\.onnx: a detector's teacher is the file of its training, not onnx"):
        _run(trained_detector, {**inputs, "teacher": teacher}, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"loss": "dkd"}, "distill: loss"),
        ({"hints": 0.5}, "distill: hints"),
        ({"teacher_bf16": True}, "distill: teacher_bf16"),
        ({"teacher_arch": "tiny", "teacher_weights": "t.safetensors"}, "distill: teacher_arch"),
        ({"teacher": ["train", "big"]}, "distill: several teachers"),
        ({"fit": FIT | {"flip": "both"}}, r"fit\.flip"),
    ],
)
def test_what_classifiers_alone_have_is_refused_by_name(trained_detector, inputs, tmp_path, options, named):
    given = {"from": inputs["from"], "teacher:1": inputs["teacher"], "teacher:2": inputs["from"]}
    with pytest.raises(UsageError, match=rf"{named}: is for classifiers, and {ARCH} finds boxes"):
        _run(trained_detector, given | inputs, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_images_of_other_classes_or_without_boxes_are_refused(trained_detector, inputs, photos, tmp_path):
    student = _saved(tmp_path, "odd", new_detector_spec(ARCH, ("nut", "screw"), SIDE))
    with pytest.raises(StageError, match="only the images: bolt; only the student train: screw"):
        _run(trained_detector, {**inputs, "from": student}, tmp_path / "out")
    with pytest.raises(DataError, match="the images have classes"):
        _run(SimpleNamespace(data=FolderData(path=photos)), inputs, tmp_path / "out")


def test_a_teacher_that_is_worse_or_the_student_itself_is_a_warning(trained_detector, inputs, tmp_path):
    fresh, heard, own = _saved(tmp_path, "fresh", new_detector_spec(ARCH, LABELS, SIDE)), Heard(), Heard()
    none = {"fit": FIT | {"epochs": 0}}
    _run(trained_detector, {"from": inputs["teacher"], "teacher": fresh}, tmp_path / "a", heard, **none)
    assert any("the teacher is worse than the student it is to teach" in text for text in heard.warned)
    _run(trained_detector, {"from": inputs["from"], "teacher": inputs["from"]}, tmp_path / "b", own, **none)
    assert any("is the student itself" in text for text in own.warned)
    assert not any("is worse" in text for text in own.warned)


def test_each_knob_of_the_loss_reaches_it(trained_detector, inputs, tmp_path):
    knobs = [{}, {"alpha": 0.0}, {"alpha": 1.0}, {"temperature": 9.0}, {"detect": PLAIN | {"loss": "focal"}}]
    found = []
    for number, options in enumerate(knobs):
        _run(trained_detector, inputs, tmp_path / str(number), fit=FIT | {"epochs": 1}, **options)
        found.append(_tensors(tmp_path / str(number)))
    assert not any(_same(a, b) for a, b in combinations(found, 2))


def test_a_killed_distillation_goes_on_with_its_schedules(trained_detector, inputs, tmp_path, monkeypatch):
    options = {"alpha": 0.9, "alpha_final": 0.3, "temperature": 4.0, "temperature_final": 1.0,
               "fit": FIT | {"epochs": 3, "ema_decay": 0.5}}  # fmt: skip
    straight = _run(trained_detector, inputs, tmp_path / "straight", **options)
    on_epoch = BoxObjective.on_epoch

    def killed(self, epoch, model):
        if epoch == 2:
            raise KilledError
        on_epoch(self, epoch, model)

    with monkeypatch.context() as patch:
        patch.setattr(BoxObjective, "on_epoch", killed)
        with pytest.raises(KilledError):
            _run(trained_detector, inputs, tmp_path / "killed", **options)
    assert (tmp_path / "killed" / CHECKPOINT_FILE).exists()
    heard = Heard()
    assert _run(trained_detector, inputs, tmp_path / "killed", heard, **options) == straight
    assert "continuing after epoch 2" in heard.said
    assert _same(_tensors(tmp_path / "straight"), _tensors(tmp_path / "killed"))
    _run(trained_detector, inputs, tmp_path / "constant", **options | {"alpha_final": None, "temperature_final": None})
    assert not _same(_tensors(tmp_path / "straight"), _tensors(tmp_path / "constant"))


CODING = ssd_coding(((4, 4), (2, 2)))
TARGETS = targets_of(np.array([[0.1, 0.1, 0.5, 0.5]], np.float32), np.array([1]), CODING)


def _answers(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, CODING.anchors, numbers, generator=generator) for numbers in (4, 3))


def _batch():
    raw_NA4, classes_NA = (torch.from_numpy(np.stack([part, part])) for part in TARGETS)
    return BoxBatch(torch.zeros(2, 3, 8, 8), raw_NA4, classes_NA, np.arange(2))


def _objective(**options):
    asked = []

    def teacher(images_NCHW):
        asked.append((images_NCHW, torch.is_grad_enabled()))
        return _answers(2)

    config = DistillConfig.model_validate({"fit": {"epochs": 3}} | options)
    return BoxObjective(config, teacher, CODING), asked


def test_with_all_of_the_share_it_is_imitation_alone():
    batch, (objective, asked) = _batch(), _objective(alpha=1.0, temperature=2.0)
    found = objective.loss(_answers(1), batch).item()
    assert found == imitation_loss(_answers(1), _answers(2), CODING, 2.0).item() > 0
    assert [(images is batch.images_NCHW, grad) for images, grad in asked] == [(True, False)]
    batch.classes_NA.fill_(BACKGROUND)
    assert objective.loss(_answers(1), batch).item() == found


def test_without_a_share_the_teacher_is_not_asked():
    objective, asked = _objective(alpha=0.0, detect={"loss": "focal"})
    expected = detection_loss(DetectOptions(loss="focal"))(_answers(1), _batch()).item()
    assert objective.loss(_answers(1), _batch()).item() == expected
    assert asked == []


def test_each_epoch_sets_share_and_temperature():
    objective, _ = _objective(alpha=0.2, alpha_final=0.8, temperature=1.0, temperature_final=5.0)
    by_boxes, found = detection_loss(DetectOptions())(_answers(1), _batch()).item(), []
    for epoch, (alpha, temperature) in enumerate([(0.2, 1.0), (0.5, 3.0), (0.8, 5.0)]):
        if epoch:
            objective.on_epoch(epoch, None)  # the first one's is set from the start
        imitation = imitation_loss(_answers(1), _answers(2), CODING, temperature).item()
        found.append(objective.loss(_answers(1), _batch()).item())
        assert found[-1] == pytest.approx(alpha * imitation + (1 - alpha) * by_boxes, rel=1e-5)
    assert all(abs(one - other) > 0.01 for one, other in pairwise(found))
