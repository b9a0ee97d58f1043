"""`import compress`: light, typed, and of one mind with the command line."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import compress
from compress import errors, results
from compress.cli.main import app
from tests.benchmark.conftest import RIGHT_KC, make_artifact

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "python-api.md"
HEAVY = ("numpy", "torch", "onnx", "onnxruntime", "pydantic", "PIL", "yaml", "typer", "rich", "fastapi")
RECIPE = """
imgc: 1
name: first
data: {kind: folder, path: images}
stages:
  - {kind: train, arch: tiny, weights: none, input_px: 32, fit: {epochs: 1}}
  - {kind: export, format: onnx}
gates:
  - {metric: size_bytes, at: export, max: 10}
"""

make_artifact = make_artifact  # the fixture of the benchmark's own tests


@pytest.fixture
def model(make_artifact: Callable[..., results.StageResult]) -> Path:
    return make_artifact("model").path


@pytest.fixture
def worse(make_artifact: Callable[..., results.StageResult]) -> Path:
    return make_artifact("worse", weight_KC=RIGHT_KC[[0, 2, 1]]).path  # green and red confused


def said(*arguments: str | Path) -> dict:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def in_a_process(program: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        **{"cwd": folder, "env": environment, "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_import_is_light(tmp_path: Path) -> None:
    program = f"import sys, compress; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    assert in_a_process(program, tmp_path).split() == []


def test_everything_promised_is_there_and_says_what_it_is() -> None:
    for name in compress.__all__:
        thing = getattr(compress, name)
        assert name == "__version__" or inspect.getdoc(thing), name
    own = {name for name, thing in vars(results).items() if dataclasses.is_dataclass(thing)}
    assert own <= set(compress.__all__)
    promised = {name for name in compress.__all__ if name.endswith("Error")}
    assert all(issubclass(getattr(errors, name), compress.ImgcError) for name in promised)
    assert (ROOT / "compress" / "py.typed").is_file()


def test_results_cannot_be_changed() -> None:
    for thing in vars(results).values():
        if dataclasses.is_dataclass(thing):
            assert thing.__dataclass_params__.frozen


def test_benchmark_is_a_function_and_a_room(tmp_path: Path) -> None:
    """Python puts the module in the function's place whenever something of the room is imported."""
    program = (
        "import compress\n"
        "before = compress.benchmark\n"
        "from compress.benchmark.schema import Bench\n"
        "import compress.benchmark.limits as limits\n"
        "assert compress.benchmark is before and callable(before) and limits.__name__ == 'compress.benchmark.limits'\n"
        "from compress import benchmark\n"
        "try:\n    benchmark()\nexcept compress.UsageError as error:\n    print(error.message)\n"
    )
    assert "no model to measure" in in_a_process(program, tmp_path)


def test_evaluate_says_what_the_command_says(model: Path, worse: Path, photos: Path) -> None:
    found = compress.evaluate(worse, data=photos, baseline=model)
    assert found.top1_drop_pp == pytest.approx(200 / 3)
    assert json.loads(json.dumps(dataclasses.asdict(found))) == said(
        "evaluate", worse, "--data", photos, "--baseline", model, "--json"
    )
    alone = compress.evaluate(str(model), data=str(photos))
    assert (alone.top1_pct, alone.n_images, alone.agreement_pct) == (100.0, 12, None)


@pytest.mark.slow
def test_benchmark_measures_side_by_side(model: Path, worse: Path, photos: Path, tmp_path: Path) -> None:
    found = compress.benchmark(
        model, worse, tmp_path / "gone.onnx", data=photos, baseline=worse, repeats=10, budget_s=0.05
    )
    names = ["01-model/model.onnx", "01-worse/model.onnx"]
    assert [row.name for row in found.rows] == names
    assert found.rows[0].top1_drop_pp == pytest.approx(-200 / 3)
    assert found.rows[0].latency_p50_ms > 0
    assert found.baseline == names[1]
    assert list(found.failed) == [str(tmp_path / "gone.onnx")]
    assert [row["stage"] for row in found.bench["rows"]] == names
    assert (found.bench["rows"][0]["latency_calls"], found.bench["rows"][0]["threads"]) == (10, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "threads: "),
        ({"repeats": 1}, "repeats: "),
        ({"baseline": "x.onnx"}, "baseline x.onnx: not one of the models"),
        ({"preprocess": {"resize_px": 8, "crop_px": 8}}, "preprocess: "),
    ],
)
def test_benchmark_says_what_cannot_be(model: Path, arguments: dict, message: str) -> None:
    with pytest.raises(compress.UsageError, match=re.escape(message)):
        compress.benchmark(model, **arguments)


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(compress.StageError, match="none of the models can be measured"):
        compress.benchmark(tmp_path / "gone.onnx")


def program_of(page: str) -> str:
    """Return all examples of a page, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def work(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the page says, in which its examples were run; what they said is in `said.txt`."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(photos, folder / "images")
    for index, path in enumerate(sorted((folder / "images/test/red").iterdir())):
        path.rename(path.with_name(f"{index:03d}.jpg"))
    (folder / "recipe.yaml").write_text(RECIPE.partition("gates:")[0])
    (folder / "said.txt").write_text(in_a_process(program_of(PAGE.read_text()), folder))
    return folder


@pytest.mark.slow
def test_the_examples_of_the_page_run(work: Path) -> None:
    program, out = program_of(PAGE.read_text()), (work / "said.txt").read_text()
    for function in ("run", "load", "evaluate", "benchmark"):
        assert f"compress.{function}(" in program
    assert re.search(r"^train \S+model.safetensors \d+ \d+\.\d s$", out, flags=re.MULTILINE), "not reused"
    assert "n = 12" in out
    assert "absent.onnx: no such model file" in out
    assert (work / "runs/first/report.html").is_file()
    assert (work / "runs/second").is_dir()


def test_the_page_names_all_that_is_promised() -> None:
    text = PAGE.read_text()
    for name in set(compress.__all__) - {"__version__", "Prediction", "StageResult", "GateResult"}:
        assert name in text, name
    for name in ("run", "load", "evaluate", "benchmark"):
        arguments = re.search(rf"`{name}\((.*?)\)`", text, flags=re.DOTALL)
        assert arguments is not None
        given = re.findall(r"(\w+)(?==|,|$)", re.sub(r"=[^,]*", "=", arguments[1]))
        function = getattr(importlib.import_module("compress.api"), name)
        assert given == list(inspect.signature(function).parameters), name


@pytest.mark.slow
def test_a_broken_gate_raises_when_all_is_written(
    work: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (work / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(work)
    caplog.set_level("INFO", logger="compress")
    with pytest.raises(compress.GateError, match="gate broken: size_bytes at export"):
        compress.run("recipe.yaml", name="gated")
    assert "export: reused from" in caplog.text
    assert (work / "runs/gated/report.json").is_file()
    found = compress.run(work / "recipe.yaml", name="gated", require_gates=False)
    assert not found.passed
    assert [(gate.metric, gate.limit, gate.value) for gate in found.gates] == [
        ("size_bytes", 10, found.stage("export").size_bytes)
    ]
    assert [(stage.id, stage.reused) for stage in found.stages] == [("train", True), ("export", True)]
    assert found.stage("export").path.read_bytes()
    with pytest.raises(KeyError):
        found.stage("prune")
