"""Images with boxes as pruning sees them: which ones, what is learned from them, and what an answer is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.core.dataset import BoxesData
from compress.core.stage import RunContext
from compress.data.dataset import load_dataset
from compress.engine.detection.batches import BACKGROUND, targets_of
from compress.engine.detection.losses import detection_loss, imitation_loss
from compress.engine.detection.options import DetectOptions
from compress.engine.options import FitOptions
from compress.models.detectors import new_detector_spec
from compress.prune import box_datasets
from compress.prune.box_datasets import BoxDatasets
from tests.detector_files import ARCH, LABELS, SIDE, write_boxes

SPEC = new_detector_spec(ARCH, LABELS, SIDE)
COUNT = 5
MOVED = {"train": 0, "val": 25}  # the boxes of validation lie elsewhere, so that nobody takes one split for the other
DETECT = DetectOptions(flip="horizontal")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("boxes")
    write_boxes(root, COUNT)
    content = json.loads((root / "val.json").read_text())
    for one in content["annotations"]:
        one["bbox"][0] += MOVED["val"]
    (root / "val.json").write_text(json.dumps(content))
    return load_dataset(BoxesData(kind="coco", path=root), seed=0, task="detect")


@pytest.fixture
def images(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(box_datasets, "BATCH", 3)
    return BoxDatasets(dataset, SPEC, DETECT, RunContext(tmp_path, seed=0, data=None))


def _targets(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets and classes of the anchors for the boxes that `write_boxes` draws on an image."""
    width, moved = 160 + 20 * index, MOVED[split]
    nut, bolt = [10 + 5 * index, 20, 60 + 5 * index, 70], [90, 70, 150, 90]
    corners_B4 = np.array([nut, bolt], np.float32) + np.array([moved, 0, moved, 0], np.float32)
    return targets_of(corners_B4 / np.array([width, 120, width, 120], np.float32), np.array([0, 1]), SPEC.boxes)


class Knows(nn.Module):
    """Answers with the boxes of these images, in turn, and remembers how it was asked."""

    def __init__(self, split: str, numbers=range(COUNT), off: float = 0.0) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        raw, classes = zip(*(_targets(split, index) for index in numbers), strict=True)
        self.raw_NA4 = torch.from_numpy(np.stack(raw)) + torch.tensor([off, 0.0, 0.0, 0.0])
        self.logits_NAK = 20.0 * nn.functional.one_hot(torch.from_numpy(np.stack(classes)) - BACKGROUND, 3)
        self.asked: list[int] = []

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        at = sum(self.asked) % len(self.raw_NA4)
        self.asked.append(len(images_NCHW))
        part = slice(at, at + len(images_NCHW))
        return self.raw_NA4[part], self.logits_NAK[part]


def test_every_image_is_scored_once_in_batches_of_what_the_network_sees(images):
    found = images.scoring()
    assert [tuple(images_NCHW.shape) for images_NCHW, _ in found] == [(3, 3, SIDE, SIDE), (2, 3, SIDE, SIDE)]
    for images_NCHW, batch in found:
        assert batch.images_NCHW is images_NCHW
        assert images_NCHW.dtype == torch.float32
        assert images_NCHW.is_contiguous(memory_format=torch.channels_last)
    assert [batch.index_N.tolist() for _, batch in found] == [[0, 1, 2], [3, 4]]


def test_the_targets_are_those_of_the_training_boxes(images):
    raw_NA4, classes_NA = (
        torch.cat([getattr(batch, part) for _, batch in images.scoring()]) for part in ("raw_NA4", "classes_NA")
    )
    assert raw_NA4.shape == (COUNT, SPEC.boxes.anchors, 4)
    for index in range(COUNT):
        raw_A4, classes_A = _targets("train", index)
        np.testing.assert_allclose(raw_NA4[index].numpy(), raw_A4, atol=1e-4)
        np.testing.assert_array_equal(classes_NA[index].numpy(), classes_A)
        assert set(classes_A) == {BACKGROUND, 0, 1}


def test_the_images_show_what_the_boxes_mark_and_are_the_same_each_time(images):
    seen, again = (torch.cat([images_NCHW for images_NCHW, _ in images.scoring()]) for _ in range(2))
    for index in range(COUNT):
        width = 160 + 20 * index
        nut, bolt = ((35 + 5 * index) / width, 45 / 120), (120 / width, 80 / 120)
        assert float(seen[index, :, int(SIDE * nut[1]), int(SIDE * nut[0])].mean()) > 0.9
        assert float(seen[index, :, int(SIDE * bolt[1]), int(SIDE * bolt[0])].mean()) < -0.9
    assert torch.equal(seen, again)


def test_of_many_images_some_are_taken_evenly(images, monkeypatch):
    monkeypatch.setattr(box_datasets, "SCORING_IMAGES", 2)
    monkeypatch.setattr(box_datasets, "SENSITIVITY_IMAGES", 3)
    ((_, batch),) = images.scoring()
    expected = np.stack([_targets("train", index)[1] for index in (0, 2)])
    np.testing.assert_array_equal(batch.classes_NA.numpy(), expected)
    assert images.judged == 3
    model = Knows("train", (0, 1, 3))
    assert images.judge(model)[0] == pytest.approx(100)
    assert model.asked == [3, 3]


def test_a_verdict_is_the_map_and_the_mean_loss_of_the_training_images(images):
    assert (images.metric, images.judged) == ("map", COUNT)
    assert images.judge(Knows("train"))[0] == pytest.approx(100)
    for model in (Knows("train", off=1.0), Knows("val")):
        accuracy, loss = images.judge(model)
        assert 0 <= accuracy < 90
        start, losses = 0, []
        for images_NCHW, batch in images.scoring():
            part = slice(start, start + len(images_NCHW))
            losses.append(detection_loss(DETECT)((model.raw_NA4[part], model.logits_NAK[part]), batch).item())
            start += len(images_NCHW)
        assert loss == pytest.approx(np.mean(losses))
        assert loss > images.judge(Knows("train"))[1] + 0.1


def test_accuracy_is_that_of_the_validation_images(images):
    known, other = Knows("val"), Knows("train")
    assert images.accuracy_pct(known) == pytest.approx(100)
    assert images.accuracy_pct(other) < 90
    assert known.asked == [COUNT]


@pytest.mark.parametrize("loss", ["multibox", "focal"])
def test_the_loss_is_the_one_of_the_options(dataset, tmp_path, loss):
    detect = DetectOptions(loss=loss)
    images = BoxDatasets(dataset, SPEC, detect, RunContext(tmp_path, seed=0, data=None))
    ((_, batch),) = images.scoring()
    model = Knows("val")
    outputs = (model.raw_NA4, model.logits_NAK)
    assert images.loss(outputs, batch).item() == detection_loss(detect)(outputs, batch).item()
    others = DetectOptions(loss="focal" if loss == "multibox" else "multibox")
    assert images.loss(outputs, batch).item() != pytest.approx(detection_loss(others)(outputs, batch).item())


def test_a_recovery_learns_from_its_teacher_and_from_the_boxes(images, tmp_path):
    options, teacher, own = FitOptions(epochs=3, batch_size=2), Knows("train", off=1.0), Knows("val")
    ((_, batch), _) = images.scoring()
    outputs = (own.raw_NA4[:3], own.logits_NAK[:3].float())
    imitation = imitation_loss(outputs, (teacher.raw_NA4[:3], teacher.logits_NAK[:3].float()), SPEC.boxes, 2.0).item()
    by_boxes = images.loss(outputs, batch).item()
    assert imitation != pytest.approx(by_boxes, rel=0.05)
    for alpha in (0.0, 0.25, 1.0):
        teacher.asked.clear()
        setup, loss = images.recovery(options, teacher, alpha=alpha, temperature=2.0)
        assert loss(outputs, batch).item() == pytest.approx(alpha * imitation + (1 - alpha) * by_boxes, rel=1e-5)
        assert teacher.asked == ([3] if alpha else [])
    assert (setup.options, setup.detect, setup.spec, setup.work_dir) == (options, DETECT, SPEC, tmp_path)
    assert (setup.n_train, setup.n_val) == (COUNT, COUNT)
    assert setup.judged_pct(Knows("val")) == pytest.approx(100)
