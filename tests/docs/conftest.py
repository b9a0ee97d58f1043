"""The folder that the commands of a page run in: a few generated images, and a model as another tool makes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from tests.docs.markdown import ROOT, Block, blocks_of
from tests.exports import alone

TUTORIAL = ROOT / "docs" / "tutorial" / "first-model.md"
FOREIGN_PX = 32

# Behind a command, what makes it small enough for a test; the command is else run as it is written.
_RECIPE = {
    "train.fit.epochs": "1",
    "prune.sibling": "false",
    "distill.fit.epochs": "1",
    "quantize.fit.epochs": "1",
    "quantize.reconstruct.steps": "2",
    "benchmark.baseline": "export-tflite",
    "benchmark.models": "[export-tflite]",  # a fresh process for each model is measured, with torch in it for some
    "benchmark.repeats": "5",
    "benchmark.budget_s": "0.01",
}
SMALLER = {
    "data defects": ("--size-px", "64", "--train", "42", "--val", "14", "--test", "14"),
    "init": ("--arch", "tiny", "--weights", "none", "--input-px", "32"),
    "run imgc.yaml": tuple(word for key, value in _RECIPE.items() for word in ("--set", f"stages.{key}={value}")),
    "train": ("--epochs", "1"),
    "prune": ("--no-sibling",),
    "distill": ("--epochs", "1"),
    "quantize": ("--set", "fit.epochs=1", "--set", "reconstruct.steps=2"),
    "benchmark": ("--repeats", "5", "--budget-s", "0.01"),
}
ONE_MODEL = ("--baseline", "export", "--set", "models=[export]")  # for a benchmark of the whole run


def smaller(words: list[str]) -> tuple[str, ...]:
    """Return the options that make `imgc WORDS...` small."""
    if {"--compare", "compare"} & set(words):  # it measures nothing
        return ()
    options = SMALLER.get(" ".join(words[:2]), SMALLER.get(words[0], ()))
    return (*options, *ONE_MODEL) if words == ["benchmark"] else options


def run_blocks(blocks: list[Block]) -> None:
    """Run the commands of blocks in the working folder; every one must end with exit code 0."""
    from compress.cli.main import app

    for block in blocks:
        for command in block.commands():
            assert command[0] == "imgc", f"{block.name}: only imgc is run; `{command[0]}` wants a <!-- not run: WHY -->"
            result = CliRunner().invoke(app, [*command[1:], *smaller(command[1:])])
            assert result.exit_code == 0, f"{block.name}: {' '.join(command)}\n{result.output}\n{result.exception}"


def runnable(page: Path) -> list[Block]:
    """Return the blocks of a page that are run."""
    return [block for block in blocks_of(page) if "not run" not in block.comments]


def _foreign(path: Path) -> None:
    """Write an ONNX file as another tool would: a convolution, ReLU, the mean, one layer; three classes."""
    rng = np.random.default_rng(0)
    weights = {"kernel": rng.normal(0, 0.3, (8, 3, 3, 3)), "bias": np.zeros(8), "head": rng.normal(0, 1, (3, 8))}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "kernel", "bias"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "head"], ["logits"], transB=1),
        ],
        "foreign",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, FOREIGN_PX, FOREIGN_PX])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))


@pytest.fixture(scope="session")
def bare_folder(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Return a folder with `images/`, `image.jpg` and `model.onnx`."""
    folder = tmp_path_factory.mktemp("bare") / "work"
    shutil.copytree(photos, folder / "images")
    shutil.copyfile(next((folder / "images" / "test").rglob("*.jpg")), folder / "image.jpg")
    _foreign(folder / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def first_model(shared_folder: Path) -> Path:
    """Return the folder as the first tutorial leaves it: its commands are run here, once, from nothing."""
    folder = shared_folder / "first-model"
    with alone(shared_folder / "first-model.lock"), pytest.MonkeyPatch.context() as patch:
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "work").mkdir(parents=True)
            patch.chdir(folder / "work")
            run_blocks(runnable(TUTORIAL))
            (folder / "done").touch()
    return folder / "work"


@pytest.fixture
def page_folder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Path]]:
    """Return a function that makes the working folder for a page's `<!-- setup: -->`.

    `first-model` goes on where the tutorial ended; `runs` has its images and runs but no recipe, so that stages are
    reused; without a setup there are `images/`, `image.jpg` and `model.onnx`.
    """

    def make(setup: str) -> Path:
        folder = tmp_path / "work"
        source = request.getfixturevalue("first_model" if setup else "bare_folder")
        shutil.copytree(source, folder, symlinks=True)
        if setup == "runs":
            (folder / "imgc.yaml").unlink()
        patch.chdir(folder)
        return folder

    with pytest.MonkeyPatch.context() as patch:
        yield make
