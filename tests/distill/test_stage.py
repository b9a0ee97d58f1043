from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from compress.core.artifact import Artifact
from compress.core.dataset import FolderData
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.distill import source, stage
from compress.distill.config import DistillConfig
from compress.engine.checkpoint import CHECKPOINT_FILE
from compress.errors import ModelFileError, StageError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import load_model, save_model
from compress.pipeline.inputs import file_artifact

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

LABELS = ("blue", "green", "red")
FIT = {"epochs": 3, "batch_size": 8, "lr": 0.01, "label_smoothing": 0.0}


class ColourTeacher(torch.nn.Module):
    """Knows the classes by their mean colour; its own preprocessing is that of its spec (mean 0.5, std 0.5)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(10.0))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        red, green, blue = images_NCHW.mean(dim=(2, 3)).unbind(1)
        return self.scale * torch.stack([blue, green, red], dim=1)


def _artifact(path: Path, stage_id: str, labels=LABELS, seed: int = 0, input_px: int = 32) -> Artifact:
    spec = new_spec("tiny", labels, input_px)
    spec = save_model(path, build_model(spec, seed=seed), spec)
    return Artifact(
        stage_id=stage_id, kind="train", format=Format.TORCH, path=path, sha256=sha256_file(path),
        size_bytes=path.stat().st_size, spec=spec, metrics={},
    )  # fmt: skip


class Heard(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def info(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def _inputs(folder: Path, **teacher) -> dict[str, Artifact]:
    student = _artifact(folder / "student.safetensors", "prune", seed=1)
    return {"from": student, "teacher": _artifact(folder / "teacher.safetensors", "train", **teacher)}


def _run(inputs: dict[str, Artifact], photos: Path, folder: Path, reporter=None, **options):
    config = DistillConfig.model_validate({"fit": FIT} | options)
    context = RunContext(folder, 0, FolderData(path=photos), reporter=reporter or SilentReporter())
    return stage.run(config, inputs, context)


def test_the_student_learns_from_the_teachers_labels_alone(photos, tmp_path, monkeypatch):
    inputs = _inputs(tmp_path)
    load = source.load_model

    def load_with_a_knowing_teacher(path: Path):
        model, spec = load(path)
        return (ColourTeacher(), spec) if path == inputs["teacher"].path else (model, spec)

    monkeypatch.setattr(source, "load_model", load_with_a_knowing_teacher)
    output = _run(inputs, photos, tmp_path / "out", alpha=1.0, fit=FIT | {"epochs": 6})
    assert output.metrics["teacher_top1_pct"] == 100.0
    assert output.metrics["top1_pct"] > output.metrics["student_before_top1_pct"]
    _, spec = load_model(tmp_path / "out" / output.file_name)
    assert spec == output.spec == inputs["from"].spec
    assert not (tmp_path / "out" / CHECKPOINT_FILE).exists()


def test_a_teacher_of_another_input_size_teaches_too(photos, tmp_path):
    output = _run(_inputs(tmp_path, input_px=48), photos, tmp_path / "out", fit=FIT | {"epochs": 1})
    assert output.spec.input_chw == (3, 32, 32)


def test_an_architecture_with_weights_can_teach(photos, tmp_path):
    student, other = _inputs(tmp_path)["from"], _artifact(tmp_path / "other.safetensors", "other", seed=2)
    options = {"teacher_arch": "tiny", "teacher_weights": str(other.path), "teacher_input_px": 32}
    by_arch = _run({"from": student}, photos, tmp_path / "a", **options)
    by_file = _run({"from": student, "teacher": other}, photos, tmp_path / "b")
    assert by_arch.metrics == by_file.metrics


def test_a_teacher_with_another_number_of_classes_is_refused(photos, tmp_path):
    student = _inputs(tmp_path)["from"]
    foreign = _artifact(tmp_path / "foreign.safetensors", "foreign", labels=("a", "b"))
    with pytest.raises(StageError, match="classifier in this file is not for the student's 3 classes"):
        _run({"from": student}, photos, tmp_path / "out", teacher_arch="tiny", teacher_weights=str(foreign.path))


def test_a_teacher_with_other_classes_is_refused_with_the_difference(photos, tmp_path):
    inputs = _inputs(tmp_path, labels=("blue", "green", "violet"))
    file = inputs["teacher"].path
    inputs["teacher"] = inputs["teacher"].model_copy(update={"stage_id": str(file)})
    with pytest.raises(StageError, match=f"only the student prune: red; only the teacher {file}: violet") as raised:
        _run(inputs, photos, tmp_path / "out")
    assert "imgc train --arch" in raised.value.hint
    assert "imgc distill" in raised.value.hint


def test_images_with_other_classes_are_refused(photos, tmp_path):
    inputs = _inputs(tmp_path)
    inputs["from"] = _artifact(tmp_path / "odd.safetensors", "odd", labels=("blue", "green", "pink"))
    with pytest.raises(StageError, match="only the images: red; only the student odd: pink"):
        _run(inputs, photos, tmp_path / "out")


def test_without_data_it_says_so(tmp_path):
    with pytest.raises(UsageError, match="no `data:` block"):
        stage.run(DistillConfig(), _inputs(tmp_path), RunContext(stage_dir=tmp_path, seed=0, data=None))


def test_an_onnx_file_can_teach(photos, tmp_path, colour_onnx):
    inputs = {**_inputs(tmp_path), "teacher": colour_onnx(tmp_path / "teacher.onnx")}
    output = _run(inputs, photos, tmp_path / "out", alpha=1.0, fit=FIT | {"epochs": 6})
    assert output.metrics["teacher_top1_pct"] == 100.0
    assert output.metrics["top1_pct"] > output.metrics["student_before_top1_pct"]


def test_an_onnx_file_of_another_tool_is_told_what_it_lacks(photos, tmp_path, colour_onnx):
    inputs = {**_inputs(tmp_path), "teacher": colour_onnx(tmp_path / "foreign.onnx", labels=())}
    with pytest.raises(
        UsageError, match=r"foreign\.onnx: made by another tool; it does not say which classes"
    ) as error:
        _run(inputs, photos, tmp_path / "out")
    assert "imgc export" in error.value.hint


def test_several_teachers_teach_together(photos, tmp_path, colour_onnx):
    two = {"teacher:1": colour_onnx(tmp_path / "a.onnx"), "teacher:2": _inputs(tmp_path)["teacher"]}
    inputs, heard = {"from": _inputs(tmp_path)["from"], **two}, Heard()
    output = _run(inputs, photos, tmp_path / "out", heard, teacher=["a.onnx", "train"], loss="dkd")
    assert any(text.startswith(f"teacher {tmp_path / 'a.onnx'}: 100.00 %") for text in heard.said)
    assert any(text.startswith("teacher train: ") for text in heard.said)
    assert output.metrics["teacher_top1_pct"] > 40.0  # the one that knows outweighs the one that does not


def test_one_of_several_teachers_with_other_classes_is_named(photos, tmp_path):
    other = _artifact(tmp_path / "odd.safetensors", "odd", labels=("blue", "green", "pink"))
    inputs = {"from": _inputs(tmp_path)["from"], "teacher:1": _inputs(tmp_path)["teacher"], "teacher:2": other}
    with pytest.raises(StageError, match="only the teacher odd: pink"):
        _run(inputs, photos, tmp_path / "out", teacher=["train", "odd"])


def test_a_teacher_with_the_classes_in_another_order_is_refused(photos, tmp_path):
    with pytest.raises(StageError, match="the same in another order: blue, green, red against green, blue, red"):
        _run(_inputs(tmp_path, labels=("green", "blue", "red")), photos, tmp_path / "out")


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_a_teacher_without_finite_logits_stops_the_stage_before_it_trains(photos, tmp_path, wrong):
    inputs = _inputs(tmp_path)
    spec = new_spec("tiny", LABELS, 32)
    model = build_model(spec)
    with torch.no_grad():
        model.classifier.bias[0] = wrong
    save_model(inputs["teacher"].path, model, spec)
    heard = Heard()
    with pytest.raises(StageError, match="teacher gives logits that are not finite") as error:
        _run(inputs, photos, tmp_path / "out", heard)
    assert "imgc evaluate" in error.value.hint
    assert not any("epoch" in text for text in heard.said)


def test_a_teacher_worse_than_the_student_is_a_warning(photos, tmp_path, colour_onnx):
    taught = _run({**_inputs(tmp_path), "teacher": colour_onnx(tmp_path / "t.onnx")}, photos, tmp_path / "a",
                  fit=FIT | {"epochs": 6})  # fmt: skip
    assert taught.metrics["top1_pct"] > 50.0
    inputs = {**_inputs(tmp_path), "from": file_artifact(tmp_path / "a" / taught.file_name)}
    heard = Heard()
    _run(inputs, photos, tmp_path / "b", heard, fit=FIT | {"epochs": 1})
    assert any("the teacher is worse than the student" in text for text in heard.warned)
    calm = Heard()
    equal = {"from": inputs["from"], "teacher": inputs["from"]}
    _run(equal, photos, tmp_path / "c", calm, fit=FIT | {"epochs": 1})
    assert all("is the student itself" in text for text in calm.warned), "nothing else to warn of"


def test_a_librarys_network_can_teach(photos, tmp_path):
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "w.pth")
    options = {"teacher_arch": "timm:test_resnet", "teacher_weights": str(tmp_path / "w.pth"), "teacher_input_px": 64}
    student, heard = _inputs(tmp_path)["from"], Heard()
    output = _run({"from": student}, photos, tmp_path / "out", heard, **options, hints=0.1, fit=FIT | {"epochs": 1})
    assert output.spec == student.spec
    assert any(text.startswith("hints from timm:test_resnet: ") for text in heard.said)
    torch.save(timm.create_model("test_resnet", num_classes=4).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelFileError, match="does not fit the architecture 'timm:test_resnet'"):
        _run({"from": student}, photos, tmp_path / "other", **options)


def _tensors(output_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(output_dir / stage.FILE_NAME)


def _same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_hints_change_the_student_and_leave_nothing_else_in_it(photos, tmp_path):
    inputs = _inputs(tmp_path, input_px=48)
    options = {"fit": FIT | {"epochs": 2, "keep": "last", "ema_decay": 0.5, "freeze_epochs": 1}}
    plain = _run(inputs, photos, tmp_path / "plain", **options)
    hinted = _run(inputs, photos, tmp_path / "hinted", hints=5.0, **options)
    assert hinted.spec == plain.spec == inputs["from"].spec
    before, after = _tensors(tmp_path / "plain"), _tensors(tmp_path / "hinted")
    assert before.keys() == after.keys()
    assert not _same(before, after)


def test_hints_need_a_teacher_that_shows_its_features(photos, tmp_path, colour_onnx):
    student, file = _inputs(tmp_path)["from"], colour_onnx(tmp_path / "t.onnx")
    with pytest.raises(UsageError, match="no teacher is a torch model") as error:
        _run({"from": student, "teacher": file}, photos, tmp_path / "out", hints=1.0)
    assert "set hints to 0" in error.value.hint
    both = {"from": student, "teacher:1": file, "teacher:2": _inputs(tmp_path)["teacher"]}
    heard = Heard()
    options = {"teacher": ["t.onnx", "train"], "hints": 1.0, "fit": FIT | {"epochs": 1}}
    _run(both, photos, tmp_path / "both", heard, **options)
    assert any(text.startswith("hints from train: ") for text in heard.said)


class KilledError(Exception):
    """Stands for SIGKILL between two epochs."""


@pytest.mark.slow
def test_a_killed_distillation_goes_on_with_its_schedules_and_hints(photos, tmp_path, monkeypatch):
    inputs = _inputs(tmp_path)
    options = {"hints": 2.0, "alpha": 0.9, "alpha_final": 0.3, "temperature": 4.0, "temperature_final": 1.0,
               "fit": FIT | {"keep": "last", "ema_decay": 0.5}}  # fmt: skip
    _run(inputs, photos, tmp_path / "straight", **options)
    on_epoch = stage.Objective.on_epoch

    def killed(self, epoch, model):
        if epoch == 2:
            raise KilledError
        on_epoch(self, epoch, model)

    with monkeypatch.context() as patch:
        patch.setattr(stage.Objective, "on_epoch", killed)
        with pytest.raises(KilledError):
            _run(inputs, photos, tmp_path / "killed", **options)
    assert (tmp_path / "killed" / CHECKPOINT_FILE).exists()
    heard = Heard()
    _run(inputs, photos, tmp_path / "killed", heard, **options)
    assert "continuing after epoch 2" in heard.said
    assert _same(_tensors(tmp_path / "straight"), _tensors(tmp_path / "killed"))
    constant = options | {"alpha_final": None, "temperature_final": None}
    _run(inputs, photos, tmp_path / "constant", **constant)
    assert not _same(_tensors(tmp_path / "straight"), _tensors(tmp_path / "constant"))


@pytest.mark.slow
def test_each_knob_of_the_loss_reaches_it(photos, tmp_path):
    inputs, fit = _inputs(tmp_path), FIT | {"epochs": 1, "keep": "last"}
    knobs = [{}, {"loss": "dkd"}, {"loss": "dkd", "dkd_beta": 9.0}, {"alpha": 0.1}, {"temperature": 9.0}]
    found = []
    for number, options in enumerate(knobs):
        _run(inputs, photos, tmp_path / str(number), fit=fit, **options)
        found.append(_tensors(tmp_path / str(number)))
    assert not any(_same(a, b) for a, b in combinations(found, 2))


@pytest.fixture
def square_photos(photos, tmp_path):
    """Return the images cut to squares, of which a full crop has one place."""
    for path in photos.rglob("*.jpg"):
        target = tmp_path / "square" / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.crop((0, 0, 64, 64)).save(target)
    return tmp_path / "square"


@pytest.mark.slow
def test_without_random_augmentation_the_teacher_answers_once_an_image(photos, square_photos, tmp_path, monkeypatch):
    shown = 0
    logits = stage.Teacher.logits

    def counted(self, images_NCHW):
        nonlocal shown
        shown += len(images_NCHW)
        return logits(self, images_NCHW)

    monkeypatch.setattr(stage.Teacher, "logits", counted)
    plain = FIT | {"crop_scale_min": 1.0, "crop_ratio": 1.0, "flip": "none", "keep": "last"}
    _run(_inputs(tmp_path), square_photos, tmp_path / "once", fit=plain)
    assert shown == 24
    shown = 0
    monkeypatch.setattr(stage, "shows_the_same_every_epoch", lambda *_: False)
    _run(_inputs(tmp_path), square_photos, tmp_path / "always", fit=plain)
    assert shown == 3 * 24
    once, always = _tensors(tmp_path / "once"), _tensors(tmp_path / "always")
    for name, tensor in once.items():
        torch.testing.assert_close(tensor, always[name], atol=1e-3, rtol=1e-3)  # logits differ in their last bits
    monkeypatch.undo()
    monkeypatch.setattr(stage.Teacher, "logits", counted)
    shown = 0
    _run(_inputs(tmp_path), square_photos, tmp_path / "hints", fit=plain, hints=1.0)  # features are not kept
    assert shown == 3 * 24
    shown = 0
    _run(_inputs(tmp_path), photos, tmp_path / "cut", fit=plain)  # not square: cut elsewhere every epoch
    assert shown == 3 * 24


def test_a_student_that_is_its_own_teacher_is_a_warning(photos, tmp_path):
    inputs, heard, other = _inputs(tmp_path), Heard(), Heard()
    fit = FIT | {"epochs": 0}
    _run({**inputs, "teacher": inputs["from"]}, photos, tmp_path / "a", heard, fit=fit)
    assert any("the teacher prune is the student itself, prune" in text for text in heard.warned)
    _run(inputs, photos, tmp_path / "b", other, fit=fit)
    assert not any("the student itself" in text for text in other.warned)
    assert any("epochs is 0: nothing is trained" in text for text in other.warned)
