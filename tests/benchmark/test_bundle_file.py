"""A bundle is checked before anything in it is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from compress.benchmark.bundle_file import Manifest, open_bundle, other_answers
from compress.benchmark.schema import Answers
from compress.core.digest import sha256_file
from compress.errors import UsageError

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def bundle(tmp_path: Path, make_artifact) -> Path:
    """Return a bundle with one model and three images."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    make_artifact("right").path.rename(folder / "right.onnx")
    names = [f"{index}.png" for index in range(3)]
    for name, colour in zip(names, ((0, 0, 255), (0, 255, 0), (255, 0, 0)), strict=True):
        Image.new("RGB", (32, 32), colour).save(folder / name)
    manifest = {
        **{"run": "r", "baseline": "right", "split": "test", "labels": ["blue", "green", "red"]},
        "models": [{"name": "right", "path": "right.onnx", "answers": [0, 1, 2]}],
        "images": [{"path": name, "label": index} for index, name in enumerate(names)],
        "sha256": {name: sha256_file(folder / name) for name in ["right.onnx", *names]},
    }
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    return folder


def edit(bundle: Path, change: Edit) -> None:
    path = bundle / "MANIFEST.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_models_and_images_are_ready_to_measure(bundle: Path) -> None:
    found = open_bundle(bundle, threads=2)
    (candidate,) = found.candidates
    assert (candidate.name, candidate.path, candidate.predictor.threads) == ("right", "right.onnx", 2)
    assert candidate.sha256 == sha256_file(bundle / "right.onnx")
    assert found.split.labels_N == (0, 1, 2)
    assert all(path.is_file() for path in found.split.paths)


def test_a_changed_and_a_missing_file_are_named(bundle: Path) -> None:
    (bundle / "right.onnx").write_bytes(b"another")
    (bundle / "1.png").unlink()
    with pytest.raises(UsageError, match=r"right\.onnx \(SHA-256 is .*1\.png \(missing\)"):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname", "link.onnx"])
def test_no_path_leaves_the_folder(bundle: Path, name: str) -> None:
    outside = bundle.parent / "outside.onnx"
    outside.write_bytes((bundle / "right.onnx").read_bytes())
    (bundle / "link.onnx").symlink_to(outside)

    def change(value: dict[str, Any]) -> None:
        value["models"][0]["path"] = name
        value["sha256"][name] = sha256_file(outside)

    edit(bundle, change)
    with pytest.raises(UsageError, match="leaves the folder"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.pop("labels"), "labels: Field required"),
        (lambda value: value["sha256"].pop("right.onnx"), "'right.onnx' without its SHA-256"),
        (lambda value: value["models"].clear(), "no models or no images"),
        (lambda value: value["images"].clear(), "no models or no images"),
        (lambda value: value.update(baseline="other"), "baseline 'other'"),
        (lambda value: value["images"][0].update(label=3), "0.png has the label 3"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(bundle: Path, change: Edit, words: str) -> None:
    edit(bundle, change)
    with pytest.raises(UsageError) as error:
        open_bundle(bundle)
    assert words in error.value.message
    assert "MANIFEST.json" in error.value.message


def test_a_folder_that_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no bundle"):
        open_bundle(tmp_path)


def test_other_answers_are_counted(bundle: Path) -> None:
    manifest = Manifest.model_validate_json((bundle / "MANIFEST.json").read_bytes())
    sure = {"right": (1.0,) * 3}
    known: dict[str, Any] = {"labels": manifest.labels, "paths": ("a", "b", "c"), "truth": (0, 1, 2)}

    def said(*classes: int) -> Answers:
        return Answers(**known, top1={"right": classes}, confidence=sure, truth_confidence=sure)

    assert other_answers(manifest, said(0, 1, 2)) == []
    assert other_answers(manifest, said(0, 2, 1)) == ["right: other answers than where the bundle was packed, 2 of 3"]
