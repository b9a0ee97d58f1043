from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from compress.core.dataset import BoxesData
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, SilentReporter
from compress.data.boxes import BoxLabels
from compress.data.dataset import Dataset, load_dataset
from compress.detect.geometry import in_square
from compress.engine.detection.batches import BACKGROUND, BoxTrainSet, targets_of
from compress.engine.detection.losses import detection_loss
from compress.engine.detection.options import DetectOptions
from compress.engine.detection.setup import DetectSetup, detect_setup, precision_of
from compress.engine.fit import fit
from compress.engine.options import FitOptions
from compress.errors import StageError
from compress.models.build import build_model
from compress.models.detectors import new_detector_spec

LABELS = ("bolt", "nut", "screw")
PX = 128
SPEC = new_detector_spec("ssdlite_mobilenet_v3_small", LABELS, PX)
OPTIONS = FitOptions(epochs=2, batch_size=3, lr=0.01, warmup_epochs=0.5, ema_decay=0.9, keep="last")
DETECT = DetectOptions(flip="horizontal")
COUNTS = {"train": 6, "val": 3}


class KilledError(Exception):
    """Stands for SIGKILL between two epochs."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _write(root: Path, split: str, count: int) -> None:
    """Write images of noise, upright and lying, with coloured boxes; the last one has none."""
    rng = np.random.default_rng(count)
    images, annotations = [], []
    for number in range(count):
        width, height = (200, 150) if number % 2 else (120, 160)
        pixels = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
        for index in range((number + 1) % 3 if number < count - 1 else 0):
            x, y = (int(rng.integers(0, length // 2)) for length in (width, height))
            across, down = width // 3 + 3 * index, height // 4 + 5 * index
            pixels[y : y + down, x : x + across] = 0
            pixels[y : y + down, x : x + across, index] = 255
            annotations.append({"image_id": number, "category_id": index, "bbox": [x, y, across, down]})
        Image.fromarray(pixels).save(root / "images" / f"{split}{number}.png")
        images.append({"id": number, "file_name": f"{split}{number}.png", "width": width, "height": height})
    categories = [{"id": index, "name": name} for index, name in enumerate(LABELS)]
    content = {"images": images, "categories": categories, "annotations": annotations}
    (root / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("parts")
    (root / "images").mkdir()
    for split, count in COUNTS.items():
        _write(root, split, count)
    _write(root, "test", 2)
    return load_dataset(BoxesData(kind="coco", path=root), seed=0, task="detect")


def _setup(dataset: Dataset, work_dir: Path, spec: ModelSpec = SPEC, **changes: object) -> DetectSetup:
    setup = detect_setup(dataset, spec, OPTIONS, DETECT, RunContext(work_dir, seed=5, data=None))
    return replace(setup, **changes)


class Knows(nn.Module):
    """Answers with the boxes that it was told of, in the order of the images."""

    def __init__(self, setup: DetectSetup) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.setup = setup
        self.sides: list[tuple[int, ...]] = []

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        assert not self.training
        self.sides.append(tuple(images_NCHW.shape))
        val, coding = self.setup.val, self.setup.coding
        targets = [
            targets_of(in_square(one.corners_B4, place), one.classes_B, coding)
            for one, place in zip(val.boxes_N, val.places_N, strict=True)
        ]
        raw_NA4, classes_NA = (torch.from_numpy(np.stack(part)) for part in zip(*targets, strict=True))
        return raw_NA4, 20.0 * nn.functional.one_hot(classes_NA - BACKGROUND, 1 + len(LABELS))


def test_the_setup_of_a_stage_has_its_images_boxes_options_and_place(dataset, tmp_path):
    reporter = SilentReporter()
    ctx = RunContext(tmp_path, seed=5, data=None, device="cuda", reporter=reporter)
    setup = detect_setup(dataset, SPEC, OPTIONS, DETECT, ctx)
    assert setup.train.pixels_NSSC.shape == (6, 160, 160, 3)
    assert setup.val.pixels_NHWC.shape == (3, PX, PX, 3)
    assert (setup.n_train, setup.n_val, setup.metric) == (6, 3, "map")
    assert (setup.spec, setup.coding, setup.options, setup.detect) == (SPEC, SPEC.boxes, OPTIONS, DETECT)
    assert (setup.work_dir, setup.seed, setup.device, setup.reporter) == (tmp_path, 5, "cuda", reporter)
    assert [place.size for place in setup.val.places_N] == [(120, 160), (200, 150), (120, 160)]


def test_boxes_to_learn_from_lie_on_what_they_mark(dataset, tmp_path):
    train = _setup(dataset, tmp_path).train
    seen = 0
    for pixels_SSC, known in zip(train.pixels_NSSC, train.boxes_N, strict=True):
        for box, index in zip(known.corners_B4, known.classes_B, strict=True):
            x0, y0, x1, y1 = np.round(box * len(pixels_SSC)).astype(int)
            centre_C = pixels_SSC[y1 - 6 : y1 - 3, x1 - 6 : x1 - 3].mean(axis=(0, 1))
            assert 0 <= x0 < x1 <= len(pixels_SSC)
            assert 0 <= y0 < y1 <= len(pixels_SSC)
            if index == len(known.classes_B) - 1:  # the others may lie below it
                assert centre_C.argmax() == index
                seen += 1
    assert seen >= 3


def test_the_boxes_that_are_known_are_worth_all(dataset, tmp_path):
    setup = _setup(dataset, tmp_path)
    model = Knows(setup)
    assert setup.judged_pct(model) == pytest.approx(100)
    assert model.sides == [(3, 3, PX, PX)]
    found = precision_of(model, setup.val, SPEC.preprocess, setup.coding, len(LABELS))
    there = {int(index) for one in setup.val.boxes_N for index in one.classes_B}
    assert [pct is not None for pct in found.by_class_pct] == [index in there for index in range(len(LABELS))]


def test_more_images_than_fit_a_batch_are_judged_in_order(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("compress.engine.detection.setup._EVAL_BATCH", 2)
    setup = _setup(dataset, tmp_path)

    class InTurn(Knows):
        def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
            at = sum(sides[0] for sides in self.sides)
            raw_NA4, logits_NAK = super().forward(images_NCHW)
            return raw_NA4[at : at + len(images_NCHW)], logits_NAK[at : at + len(images_NCHW)]

    model = InTurn(setup)
    assert setup.judged_pct(model) == pytest.approx(100)
    assert [sides[0] for sides in model.sides] == [2, 1]


def test_boxes_below_what_is_shown_count_too(dataset, tmp_path):
    coding = SPEC.boxes.model_copy(update={"score_threshold": 0.9})
    setup = _setup(dataset, tmp_path, coding=coding)

    class Unsure(Knows):
        def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
            raw_NA4, logits_NAK = super().forward(images_NCHW)
            return raw_NA4, torch.where(logits_NAK.argmax(dim=-1, keepdim=True) > 0, logits_NAK / 20, logits_NAK)

    assert setup.judged_pct(Unsure(setup)) == pytest.approx(100)


def test_moved_boxes_are_worth_less(dataset, tmp_path):
    setup = _setup(dataset, tmp_path)

    class Off(Knows):
        def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
            raw_NA4, logits_NAK = super().forward(images_NCHW)
            return raw_NA4 + torch.tensor([1.0, 0.0, 0.0, 0.0]), logits_NAK

    assert 5 < setup.judged_pct(Off(setup)) < 90


def test_a_verdict_leaves_the_modes_of_training_as_they_were(dataset, tmp_path):
    model = Knows(_setup(dataset, tmp_path))
    model.frozen = nn.BatchNorm2d(1).eval()
    _setup(dataset, tmp_path).judged_pct(model)
    assert (model.training, model.frozen.training) == (True, False)


def test_weights_that_are_no_numbers_have_no_verdict(dataset, tmp_path):
    model, setup = build_model(SPEC), _setup(dataset, tmp_path)
    with torch.no_grad():
        model.score_heads[1][-1].bias[3] = torch.nan
    assert setup.judged_pct(model) is None
    with pytest.raises(StageError, match="NaN"):
        precision_of(model, setup.val, SPEC.preprocess, setup.coding, len(LABELS))


def _moved(known: tuple[BoxLabels, ...]) -> list[BoxLabels]:
    first = known[0]
    return [BoxLabels(first.corners_B4 + np.float32(0.01), first.classes_B), *known[1:]]


def _renamed(known: tuple[BoxLabels, ...]) -> list[BoxLabels]:
    first = known[0]
    return [BoxLabels(first.corners_B4, (first.classes_B + 1) % len(LABELS)), *known[1:]]


def test_two_fits_are_told_apart_by_their_boxes_options_and_anchors(dataset, tmp_path):
    setup = _setup(dataset, tmp_path)
    train, val = setup.train, setup.val
    others = [
        replace(setup, train=BoxTrainSet(train.pixels_NSSC, _moved(train.boxes_N))),
        replace(setup, train=BoxTrainSet(train.pixels_NSSC, _renamed(train.boxes_N))),
        replace(setup, val=replace(val, boxes_N=_moved(val.boxes_N))),
        replace(setup, detect=DETECT.model_copy(update={"zoom_out": 0.1})),
        replace(setup, coding=SPEC.boxes.model_copy(update={"scales": (1.0, 1.0, 1.0, 1.0)})),
        replace(setup, train=BoxTrainSet(train.pixels_NSSC[:, :-1, :-1], train.boxes_N)),
    ]
    assert setup.digests() == _setup(dataset, tmp_path).digests()
    assert len({str(one.digests()) for one in [setup, *others]}) == 1 + len(others)


def test_two_fits_are_told_apart_by_the_image_that_has_the_boxes(dataset, tmp_path):
    setup = _setup(dataset, tmp_path)
    turned = BoxTrainSet(setup.train.pixels_NSSC, [setup.train.boxes_N[-1], *setup.train.boxes_N[:-1]])
    assert len(turned.boxes_N[0].classes_B) == 0
    assert replace(setup, train=turned).digests() != setup.digests()


def test_batches_are_a_function_of_the_epoch(dataset, tmp_path):
    setup = _setup(dataset, tmp_path)
    first, again, other = (next(setup.batches(epoch, torch.device("cpu"))) for epoch in (0, 0, 1))
    assert first.images_NCHW.shape == (3, 3, PX, PX)
    assert first.classes_NA.shape == (3, SPEC.boxes.anchors)
    assert torch.equal(first.images_NCHW, again.images_NCHW)
    assert not torch.equal(first.images_NCHW, other.images_NCHW)


def _equal(a: nn.Module, b: nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in a.state_dict().items())


@pytest.mark.slow
def test_killed_and_resumed_ends_with_the_same_bits(dataset, tmp_path):
    def kill(epoch: int, model: nn.Module) -> None:
        if epoch == 1:
            raise KilledError

    straight, killed, resumed = (build_model(SPEC) for _ in range(3))
    loss = detection_loss(DETECT)
    result = fit(straight, _setup(dataset, tmp_path / "straight"), loss)
    with pytest.raises(KilledError):
        fit(killed, _setup(dataset, tmp_path / "killed"), loss, on_epoch=kill)
    torch.manual_seed(99)  # the state of the global generator must not matter
    again = fit(resumed, _setup(dataset, tmp_path / "killed"), loss)
    assert _equal(straight, resumed)
    assert not _equal(straight, build_model(SPEC))
    assert [row["epoch"] for row in again.history] == [1, 2]
    for row, same in zip(result.history, again.history, strict=True):
        assert {**row, "images_per_s": 0} == {**same, "images_per_s": 0}
        assert 0 <= row["val_map_pct"] <= 100
    assert not straight.training


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["multibox", "focal"])
def test_boxes_that_are_shown_again_and_again_are_learned(dataset, tmp_path, loss):
    detect = DetectOptions(iou_crop=0, zoom_out=0, photometric=0, loss=loss)
    options = FitOptions(epochs=8, batch_size=3, lr=0.005, keep="last")
    setup = _setup(dataset, tmp_path, detect=detect, options=options)
    result = fit(build_model(SPEC), setup, detection_loss(detect))
    assert result.history[-1]["train_loss"] < 0.7 * result.history[0]["train_loss"]


@pytest.mark.slow
def test_weights_that_left_the_numbers_stop_a_fit(dataset, tmp_path):
    model = build_model(SPEC)
    with torch.no_grad():
        model.score_heads[0][-1].bias.fill_(torch.nan)
    with pytest.raises(StageError, match="training diverged"):
        fit(model, _setup(dataset, tmp_path), detection_loss(DETECT))
