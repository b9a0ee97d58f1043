"""From a file of weights and a folder of images to int8 files, in an empty folder, without a training run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from compress.graph.from_torch import to_onnx
from compress.graph.metadata import embed_spec
from compress.models.build import build_model, new_spec
from compress.models.imagenet_labels import imagenet_labels

Imgc = Callable[..., Result]
QUICK = ("--set", "reconstruct.steps=2")  # how far weights move does not matter here
NO_STEP = ("--set", "reconstruct.steps=0")
QUANTIZE = ("quantize", "--arch", "tiny", "--weights", "w.safetensors", "--input-px", "32", "--calibration", "images")
PREPROCESS = '{"resize_px": 32, "crop_px": 32, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file of 1000 classes and a folder of images."""
    folder = tmp_path_factory.mktemp("given")
    save_file(build_model(new_spec("tiny", imagenet_labels())).state_dict(), folder / "w.safetensors")
    for index in range(20):
        path = folder / "images" / "ab"[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def weights(folder: Path, given: Path) -> Path:
    """Return the file of weights in the working folder, with the images beside it."""
    shutil.copytree(given, folder, dirs_exist_ok=True)
    return folder / "w.safetensors"


@pytest.fixture(scope="module")
def sealed(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the weights are quantized, without a step of reconstruction."""
    from compress.cli.main import app

    folder = tmp_path_factory.mktemp("sealed")
    shutil.copytree(given, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = CliRunner().invoke(app, [*QUANTIZE, *NO_STEP])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def quantized_before(folder: Path, sealed: Path) -> None:
    """Let the working folder be one in which the weights are quantized."""
    shutil.copytree(sealed, folder, dirs_exist_ok=True, symlinks=True)


def quantized(imgc: Imgc, *more: str | Path) -> Result:
    return imgc(*QUANTIZE, *(() if "--set" in more else QUICK), *more)


@pytest.mark.slow
def test_quantize_export_and_evaluate(imgc: Imgc, folder: Path, weights: Path):
    result = quantized(imgc, "--json")
    assert result.exit_code == 0, result.output
    (stage,) = json.loads(result.stdout)["stages"]
    assert stage["reads"] == {}
    assert stage["metrics"]["judged_images"] == 4
    assert imgc("export", "--format", "all").exit_code == 0

    rows = ["images/a/00.png,tench,test", "images/b/01.png,7,test", f"{folder}/images/a/02.png,Zebra,test"]
    (folder / "manifest.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    tflite, before = "runs/tiny/03-export-tflite/model.tflite", "runs/tiny/01-quantize/model.onnx"
    result = imgc("evaluate", tflite, "--data", "manifest.csv", "--baseline", before, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["n_images"] == 3
    low, high = found["top1_ci95_pct"]
    assert 0 <= low <= found["top1_pct"] <= found["top5_pct"] <= 100 >= high
    assert found["top1_drop_pp"] == found["baseline_top1_pct"] - found["top1_pct"]
    assert 0 <= found["agreement_pct"] <= 100
    text = imgc("evaluate", tflite, "--data", "manifest.csv", "--baseline", before).stdout
    assert "95 % interval" in text
    assert "same answer on" in text


@pytest.mark.slow
def test_a_float_onnx_file_ours_or_of_another_tool(imgc: Imgc, folder: Path, weights: Path):
    spec = new_spec("tiny", ("x", "y", "z"), 32)
    model = to_onnx(build_model(spec), spec)
    embed_spec(model, spec)
    onnx.save(model, "ours.onnx")
    result = imgc("quantize", "--from", "ours.onnx", "--calibration", "images", *QUICK)
    assert result.exit_code == 0, result.output
    again = imgc("quantize", "--from", "runs/ours/01-quantize/model.onnx", "--calibration", "images")
    assert again.exit_code == 2
    assert "is quantized already" in again.output

    del model.metadata_props[:]
    onnx.save(model, "other.onnx")
    missing = imgc("quantize", "--from", "other.onnx", "--calibration", "images")
    assert missing.exit_code == 2
    assert "--preprocess" in missing.output
    given = ("quantize", "--from", "other.onnx", "--calibration", "images", "--preprocess", PREPROCESS)
    result = imgc(*given, *QUICK)
    assert result.exit_code == 0, result.output
    (folder / "m.csv").write_text("path,label\nimages/a/00.png,2\nimages/b/01.png,0\n")
    given = ("--data", "m.csv", "--preprocess", PREPROCESS, "--json")
    found = [json.loads(imgc("evaluate", name, *given).stdout) for name in ("ours.onnx", "other.onnx")]
    assert found[0] == found[1], "a manifest of some classes by index means the same to both"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("--calibration", "absent"), "absent does not exist"),
        (("--calibration", "images/a/00.png"), "00.png is a file"),
        (("--calibration", "empty"), "no images in it"),
        (("--calibration", "few"), "at least 8 are needed"),
        (("--arch", "tinny"), "did you mean 'tiny'"),
        (("--weights", "absent.safetensors"), "does not exist"),
        (("--preprocess", "{}"), "resize_px"),
        (("--from", "w.safetensors"), "not both"),
        (("--scheme", "int8_qat"), "neither the run nor ./imgc.yaml names any"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    imgc: Imgc, folder: Path, weights: Path, change: tuple[str, str], words: str
):
    (folder / "empty").mkdir()
    (folder / "few").mkdir()
    (folder / "few/one.png").write_bytes((folder / "images/a/00.png").read_bytes())
    result = quantized(imgc, *change)
    assert result.exit_code == 2, result.output
    assert words in result.output
    assert not list(folder.glob("runs/*/*/model.onnx"))


@pytest.mark.slow
def test_an_unknown_label_is_told(imgc: Imgc, folder: Path, quantized_before: None):
    for label, words in (("tenchh", "did you mean 'tench'"), ("1000", "an index 0..999"), ("-1", "an index 0..999")):
        (folder / "m.csv").write_text(f"path,label\nimages/a/00.png,{label}\n")
        result = imgc("evaluate", "runs/tiny/01-quantize/model.onnx", "--data", "m.csv")
        assert result.exit_code == 2
        assert label in result.output
        assert words in result.output


FAULTS = [(("--exclude", "nosuchlayer"), "nosuchlayer"), (("--max-drop-pp", "1"), "labels")]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "words"), FAULTS)
def test_a_failed_try_leaves_the_model_and_the_run_of_before(
    imgc: Imgc, folder: Path, quantized_before: None, fault, words
):
    made = folder / "runs/tiny/01-quantize/model.onnx"
    content, recipe = made.read_bytes(), (folder / "runs/tiny/recipe.resolved.yaml").read_bytes()
    result = quantized(imgc, *NO_STEP, *fault)
    assert result.exit_code == 2
    assert words in result.output
    assert (folder / "runs/tiny/recipe.resolved.yaml").read_bytes() == recipe
    assert imgc("export", "--format", "tflite").exit_code == 0
    assert made.read_bytes() == content
    result = quantized(imgc, *NO_STEP, *fault)  # the run has grown, so that another one begins
    assert result.exit_code == 2
    assert (folder / "runs/latest").resolve().name == "tiny"
    assert imgc("report").exit_code == 0


@pytest.mark.slow
def test_a_new_run_whose_images_are_refused_does_not_become_the_latest(
    imgc: Imgc, folder: Path, quantized_before: None
):
    (folder / "few").mkdir()
    (folder / "images/a/00.png").rename(folder / "few/00.png")
    result = quantized(imgc, *NO_STEP, "--run", "other", "--calibration", "few")
    assert result.exit_code == 2, result.output
    assert (folder / "runs/latest").resolve().name == "tiny"


@pytest.mark.slow
def test_a_model_that_an_export_reads_is_never_tidied_away(imgc: Imgc, folder: Path, quantized_before: None):
    made = folder / "runs/tiny/01-quantize/model.onnx"
    (folder / "runs/tiny/run.lock.json").unlink()
    assert imgc("export", "--format", "tflite", "--from", str(made)).exit_code == 0
    assert made.is_file()


def test_a_wrong_value_is_told_once(imgc: Imgc, folder: Path, weights: Path):
    result = quantized(imgc, "--target", "mcuu")
    assert result.exit_code == 2
    assert "mcuu" in result.output
    assert "default factory" not in result.output
