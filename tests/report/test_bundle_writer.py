"""From a run to a machine without torch and back: bundle, benchmark, report --add."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.benchmark.bundle_file import Manifest, open_bundle
from compress.cli.main import app
from compress.core.formats import Format, Precision
from compress.core.stage import SilentReporter
from compress.core.wheel import SERVE_LOCK
from compress.errors import StageError, UsageError
from compress.package import DISTRIBUTION, VERSION
from compress.pipeline.runner import run_recipe
from compress.recipe.load import load_recipe
from compress.report import bundle_writer as packing
from compress.report.bundle_writer import write_bundle

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_fresh_process"),
]  # one real run: train, export to both formats

ROOT = Path(__file__).parents[2]
BLOCKED = ("torch", "torchvision", "timm", "onnx", "tensorflow", "safetensors", "fastapi")
BLOCKER = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
RECIPE = """
imgc: 1
name: tiny
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 1}}}}
  - {{kind: export, format: all}}
"""


@pytest.fixture(scope="module")
def run_dir(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundled")
    (folder / "r.yaml").write_text(RECIPE.format(photos=photos))
    return run_recipe(load_recipe(folder / "r.yaml"), runs_dir=folder / "runs").run_dir


@pytest.mark.slow
def test_there_and_back(run_dir: Path, tmp_path: Path) -> None:
    """The other machine is a process that can import none of what the extra `serve` lacks, nor can its children."""
    bundle, here = tmp_path / "bundle", tmp_path / "pi"
    manifest = write_bundle(run_dir, bundle, 6, SilentReporter())
    assert [model.name for model in manifest.models] == ["export-onnx", "export-tflite"]
    assert manifest.baseline == "export-onnx"
    here.mkdir()
    (here / "sitecustomize.py").write_text(BLOCKER)
    environment = {**os.environ, "PYTHONPATH": f"{here}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", "import torch"], env=environment, capture_output=True, check=False)
    assert b"blocked: torch" in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "compress", "benchmark", "bundle", ".", "--out", here / "bench.json"],
        **{"cwd": bundle, "env": environment, "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 0, done.stderr
    assert "export-tflite" in done.stdout
    value = json.loads((here / "bench.json").read_text())
    assert [row["n_images"] for row in value["rows"]] == [6, 6]
    assert not [text for text in value["warnings"] if "other answers" in text]
    value["host"]["cpu"] = "Raspberry Pi 5"
    (here / "bench.json").write_text(json.dumps(value))

    runs = ("--runs-dir", str(run_dir.parent))
    result = CliRunner().invoke(app, ["report", "tiny", "--add", str(here / "bench.json"), *runs])
    assert result.exit_code == 0, result.output
    assert "on another machine: Raspberry Pi 5" in result.stdout
    section = (run_dir / "report.md").read_text().partition("## On other machines")[2]
    assert "Raspberry Pi 5" in section
    assert "export-tflite" in section
    report = json.loads((run_dir / "report.json").read_text())
    assert [row["stage"] for row in report["elsewhere"][0]["rows"]] == ["export-onnx", "export-tflite"]


def test_a_bundle_is_whole_and_says_what_it_holds(run_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    write_bundle(run_dir, folder, 6, SilentReporter())
    opened = open_bundle(folder)
    assert sorted(set(opened.split.labels_N)) == [0, 1, 2], "a few of every class"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {*opened.manifest.sha256, "MANIFEST.json"}
    assert {"README.md", "labels.txt", "spec.json", "models/export-onnx.onnx", "models/export-tflite.tflite"} < files
    assert (folder / "labels.txt").read_text() == "blue\ngreen\nred\n"
    assert set(json.loads((folder / "spec.json").read_text())) == {"export-onnx", "export-tflite"}
    assert {"requirements.txt", f"imgc_toolkit-{VERSION}-py3-none-any.whl"} < files
    assert (folder / "requirements.txt").read_bytes() == SERVE_LOCK.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b"], "nothing half-written is left"


def commands(readme: str) -> list[str]:
    """Return the command lines of a README's first block of code."""
    return readme.split("```")[1].strip().splitlines()


def lookups(said: str, name: str) -> list[str]:
    """Return the lines in which pip says that it asked an index for this project."""
    return [line for line in said.splitlines() if f"/{name}/" in line]


@pytest.fixture
def package_index(tmp_path: Path) -> None:
    """Skip the test where no package can be had."""
    arguments = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", tmp_path / "probe", "annotated-doc"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the package index cannot be reached: {done.stderr.strip().splitlines()[-1]}")


@pytest.mark.usefixtures("package_index")
def test_its_own_commands_install_it_and_measure(run_dir: Path, tmp_path: Path) -> None:
    """A new environment and the bundle alone. The libraries come from the package index; nobody is asked for us."""
    folder = tmp_path / "elsewhere"
    write_bundle(run_dir, folder, 6, SilentReporter())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"PATH": f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"}
    environment |= {"PIP_VERBOSE": "1", "PIP_NO_COMPILE": "1"}
    said = ""
    for command in commands((folder / "README.md").read_text()):
        done = subprocess.run(
            ["bash", "-c", command],
            **{"cwd": folder, "env": environment, "capture_output": True, "text": True, "check": False},
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        said += done.stdout + done.stderr
    assert lookups(said, "numpy")
    assert not [*lookups(said, DISTRIBUTION), *lookups(said, "imgc")]
    value = json.loads((folder / "bench.json").read_text())
    assert [row["n_images"] for row in value["rows"]] == [6, 6]
    assert not list((folder / ".venv").rglob("site-packages/torch"))
    program = "import sys, pathlib; from compress.core.wheel import write_wheel; write_wheel(pathlib.Path(sys.argv[1]))"
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run([folder / ".venv/bin/python", "-c", program, again], cwd=tmp_path, env=environment, check=True)
    (wheel,) = again.iterdir()
    assert wheel.read_bytes() == (folder / wheel.name).read_bytes(), "an installation packs itself as the checkout did"


def test_the_run_s_baseline_stays_where_it_is_in_the_bundle(make_run) -> None:
    run = make_run("r", benchmarked=False)
    run.add("export", Format.ONNX, Precision.FP32)
    int8, exported = (stage.artifact for stage in run.lock.stages[1:])
    assert packing._baseline("quantize", [int8, exported]) == "quantize"
    assert packing._baseline("train", [int8, exported]) == "export", "a .safetensors file is in no bundle"
    assert packing._baseline(None, [int8]) == "quantize"


def test_a_folder_is_not_overwritten(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        write_bundle(run_dir, tmp_path, 6, SilentReporter())


def test_the_sample_is_bounded(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_IMAGES_BYTES", 5000)
    with pytest.raises(UsageError) as error:
        write_bundle(run_dir, tmp_path / "b", 12, SilentReporter())
    assert error.value.hint.startswith("--images ")
    assert not (tmp_path / "b").exists()


def test_a_failure_leaves_nothing(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Manifest:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "_seal", full)
    with pytest.raises(StageError, match="No space left"):
        write_bundle(run_dir, tmp_path / "b", 3, SilentReporter())
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_light_files_is_told_how_to_make_one(make_run, tmp_path: Path) -> None:
    run = make_run("floats", benchmarked=False)
    run.lock = run.lock.model_copy(update={"stages": run.lock.stages[:1]})
    (run.path / "run.lock.json").write_text(run.lock.model_dump_json())
    with pytest.raises(UsageError) as error:
        write_bundle(run.path, tmp_path / "b", 3, SilentReporter())
    assert "imgc export" in error.value.hint


@pytest.mark.parametrize(("label", "name"), [("red", "red"), ("t-shirt 2", "t-shirt 2"), ("a/b", "class-7")])
def test_a_class_that_is_no_folder_name_gets_its_index(label: str, name: str) -> None:
    assert packing._folder_name(label, 7) == name
    assert packing._folder_name("..", 7) == packing._folder_name("a.", 7) == "class-7"
