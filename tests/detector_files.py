"""Small detectors, and images with boxes: one in every format with weights that are drawn, and one that was trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compress.core.artifact import Artifact
from compress.core.dataset import BoxesData
from compress.core.digest import sha256_bytes
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.export.config import ExportConfig
from compress.export.stage import run as export
from compress.models.build import build_model
from compress.models.detectors import new_detector_spec
from compress.models.weights import save_model

ARCH = "ssdlite_mobilenet_v3_small"
LABELS = ("nut", "bolt")
SIDE = 128


@dataclass(frozen=True)
class DetectorFiles:
    """Files of one detector, the folder of a COCO set, and its images."""

    torch: Path
    onnx: Path
    tflite: Path
    data: Path

    @property
    def images(self) -> list[Path]:
        return sorted((self.data / "images").iterdir())


@pytest.fixture(scope="session")
def detector_files(tmp_path_factory: pytest.TempPathFactory) -> DetectorFiles:
    """Make the files once in a process."""
    folder = tmp_path_factory.mktemp("detector")
    write_boxes(folder / "data")
    spec = new_detector_spec(ARCH, LABELS, SIDE)
    model = build_model(spec, seed=1).eval()
    with torch.no_grad():
        for head in (*model.score_heads, *model.box_heads):
            head[-1].bias.normal_(std=1.5, generator=torch.Generator().manual_seed(0))
            head[-1].weight.mul_(3)
    saved = save_model(folder / "model.safetensors", model, spec)
    artifact = artifact_of(folder / "model.safetensors", saved)
    made = {}
    for fmt in ("onnx", "tflite"):
        ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=None)
        export(ExportConfig(format=fmt), {"from": artifact}, ctx)
        made[fmt] = folder / f"model.{fmt}"
    return DetectorFiles(torch=artifact.path, data=folder / "data", **made)


@dataclass(frozen=True)
class TrainedDetector:
    """A detector that finds most of the boxes on its images, and no others: mAP of about 75 %."""

    artifact: Artifact
    data: BoxesData


@pytest.fixture(scope="session")
def trained_detector(tmp_path_factory: pytest.TempPathFactory) -> TrainedDetector:
    """Train it once in a process, in eight seconds."""
    from compress.train.config import TrainConfig
    from compress.train.stage import run as train

    folder = tmp_path_factory.mktemp("trained-detector")
    write_boxes(folder / "data", 12)
    data = BoxesData(kind="coco", path=folder / "data")
    fit = {"epochs": 30, "batch_size": 4, "lr": 5e-3, "warmup_epochs": 2, "keep": "last"}
    plain = {"iou_crop": 0, "zoom_out": 0, "photometric": 0}
    config = TrainConfig(arch=ARCH, weights="none", input_px=SIDE, fit=fit, detect=plain)
    ctx = RunContext(stage_dir=folder, seed=0, device="cpu", reporter=SilentReporter(), data=data)
    made = train(config, {}, ctx)
    return TrainedDetector(artifact_of(folder / made.file_name, made.spec), data)


def artifact_of(path: Path, spec) -> Artifact:
    return Artifact(
        stage_id="train",
        kind="train",
        metrics={},
        format=Format.TORCH,
        path=path,
        sha256=sha256_bytes(path.read_bytes()),
        size_bytes=path.stat().st_size,
        spec=spec,
    )


def write_boxes(folder: Path, count: int = 4) -> None:
    """Write a COCO set: grey noise with a bright square (nut) and a dark bar (bolt) on each image."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for split in ("train", "val", "test"):
        images, annotations = [], []
        for index in range(count):
            width, height = 160 + 20 * index, 120
            pixels = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
            boxes = [[10 + 5 * index, 20, 50, 50], [90, 70, 60, 20]]
            for (x, y, w, h), colour in zip(boxes, (250, 5), strict=True):
                pixels[y : y + h, x : x + w] = colour
            Image.fromarray(pixels).save(folder / "images" / f"{split}-{index}.png")
            images.append({"id": index, "file_name": f"{split}-{index}.png", "width": width, "height": height})
            annotations += [{"image_id": index, "category_id": n, "bbox": box} for n, box in enumerate(boxes)]
        categories = [{"id": index, "name": name} for index, name in enumerate(LABELS)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(content))
