from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format
from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from compress.data.transforms import normalize
from compress.distill.source import NamedTeacher, build_teacher, open_teacher
from compress.errors import ModelFileError, StageError, UsageError
from compress.models.build import build_model, new_spec
from compress.models.weights import save_model

LABELS = ("blue", "green", "red")
STUDENT = Preprocess(resize_px=32, crop_px=32, mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.1))


def _artifact(path, **preprocess) -> Artifact:
    spec = new_spec("tiny", LABELS, 32, **preprocess)
    spec = save_model(path, build_model(spec, seed=1), spec)
    return Artifact(
        stage_id="train", kind="train", format=Format.TORCH, path=path, sha256=sha256_file(path), size_bytes=1,
        spec=spec, metrics={},
    )  # fmt: skip


def _sees_its_own_pixels(member: NamedTeacher) -> None:
    """An image in the student's preprocessing gives the logits of the same pixels in the teacher's own."""
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    assert member.spec.preprocess.crop_px == 32
    assert member.spec.preprocess.mean != STUDENT.mean
    found = member.teacher.logits(torch.from_numpy(normalize(pixels_NHWC, STUDENT))).numpy()
    np.testing.assert_allclose(found, member.teacher.evaluate(pixels_NHWC), atol=1e-4, rtol=1e-4)
    assert np.ptp(found, axis=0).max() > 1e-3, "its answers depend on what it sees"


def test_a_stage_is_shown_its_own_pixels(tmp_path):
    member = open_teacher(_artifact(tmp_path / "t.safetensors", mean=IMAGENET_MEAN), STUDENT, "cpu", bf16=False)
    assert (member.name, member.spec.labels) == ("train", LABELS)
    _sees_its_own_pixels(member)


def test_an_onnx_file_is_shown_its_own_pixels(tmp_path, colour_onnx):
    _sees_its_own_pixels(open_teacher(colour_onnx(tmp_path / "t.onnx", px=32), STUDENT, "cpu", bf16=False))


@pytest.mark.parametrize("bf16", [False, True])
def test_bfloat16_is_passed_on(tmp_path, bf16):
    artifact = _artifact(tmp_path / "t.safetensors")
    built = build_teacher("tiny", artifact.path, 32, LABELS, STUDENT, "cpu", bf16=bf16)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    exact = open_teacher(artifact, STUDENT, "cpu", bf16=False).teacher.logits(images)
    for member in (built, open_teacher(artifact, STUDENT, "cpu", bf16=bf16)):
        assert torch.equal(member.teacher.logits(images), exact) is not bf16


def test_an_architecture_is_shown_the_pixels_of_its_published_weights(tmp_path):
    path = _artifact(tmp_path / "t.safetensors").path
    member = build_teacher("tiny", path, 32, LABELS, STUDENT, "cpu", bf16=False)
    assert member.spec.preprocess.mean == (0.5, 0.5, 0.5)
    _sees_its_own_pixels(member)


def test_a_librarys_network_is_shown_the_pixels_of_its_published_weights(tmp_path):
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "w.pth")
    member = build_teacher("timm:test_resnet", tmp_path / "w.pth", 32, LABELS, STUDENT, "cpu", bf16=False)
    assert member.spec.preprocess.std == timm.get_pretrained_cfg("test_resnet").std != IMAGENET_STD
    _sees_its_own_pixels(member)


def test_weights_of_other_classes_cannot_teach(tmp_path):
    path = _artifact(tmp_path / "t.safetensors").path
    with pytest.raises(StageError, match="not for the student's 2 classes"):
        build_teacher("tiny", path, 32, LABELS[:2], STUDENT, "cpu", bf16=False)


def test_a_name_that_the_library_lacks(tmp_path):
    with pytest.raises(UsageError, match="timm has no classifier called 'rest_resnet'"):
        build_teacher("timm:rest_resnet", tmp_path / "w.pth", None, LABELS, STUDENT, "cpu", bf16=False)


def test_a_damaged_file(tmp_path):
    artifact = _artifact(tmp_path / "t.safetensors")
    artifact.path.write_bytes(b"x")
    with pytest.raises(ModelFileError, match="damaged"):
        open_teacher(artifact, STUDENT, "cpu", bf16=False)


def test_an_onnx_file_of_another_tool(tmp_path, colour_onnx):
    with pytest.raises(UsageError, match="does not say which classes it knows") as error:
        open_teacher(colour_onnx(tmp_path / "foreign.onnx", labels=()), STUDENT, "cpu", bf16=False)
    assert "embed_spec" in error.value.hint
