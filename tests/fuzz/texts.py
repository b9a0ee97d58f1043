"""What is written as text: recipes, settings, manifests, the files of a run. Whole ones, lies, and who reads them."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from unittest.mock import patch

import yaml

from tests.fuzz.parsed import change_json

_RECIPE = """\
imgc: 1
name: demo
seed: 0
data: {kind: folder, path: images, split: {val: 0.2, test: 0.1}}

stages:
  - kind: train
    arch: tf_mobilenetv3_small_100
    weights: none
    input_px: 96
    fit: {epochs: 2, lr: 2.0e-3}
  - {kind: prune, keep: 0.7}
  - {kind: quantize, id: ptq, scheme: int8_static, calibration_count: 16}
  - {kind: export, id: lite, from: ptq, format: tflite}
  - {kind: benchmark, baseline: train}

gates:
  - {metric: top1_drop_pp, at: ptq, baseline: train, max: 2.0}
"""
_SETTINGS = """\
port: 8000
workers: 2
threads: 1
timeout_ms: 1000
rate_limit: 5.0
api_key: secret
cors_origins: [http://localhost:3000]
models: [a=model.onnx, other.tflite]
"""


def recipes() -> list[bytes]:
    """Return a recipe of several kinds of stages."""
    return [_RECIPE.encode()]


def settings() -> list[bytes]:
    """Return a server's settings."""
    return [_SETTINGS.encode()]


def manifests() -> list[bytes]:
    """Return manifests of two columns and of three, one as a spreadsheet writes it."""
    rows = [f"{split}/{n}.jpg,{'cat' if n % 2 else 'dog, wet'},{split}" for split in ("train", "val") for n in range(4)]
    quoted = ["path,label,split", *(f'"{path}","{label}",{split}' for path, label, split in map(_fields, rows))]
    bare = ["path,label", *(f"train/{n}.jpg,cat" for n in range(4))]
    return ["\n".join(bare).encode(), "\r\n".join(quoted).encode("utf-8-sig")]


def _fields(row: str) -> tuple[str, str, str]:
    path, rest = row.split(",", 1)
    label, split = rest.rsplit(",", 1)
    return path, label, split


def runs() -> list[bytes]:
    """Return the texts of a run's folder, as one JSON object: path -> content."""
    from tests.run_folders import STAGES, RunFolder

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "demo")
        for stage in STAGES:
            run.add(*stage)
        bench = run.bench("train", [run.row("train"), run.row("quantize", top1_pct=92.0, top1_drop_pp=1.0)])
        run.gates([{"metric": "top1_drop_pp", "at": "quantize", "limit": 2.0, "value": 1.0, "passed": True}])
        (run.path / "environment.json").write_text(json.dumps({"schema_version": 1, "cpu": "Some CPU", "cores": 2}))
        answers = {
            "labels": ["a", "b"],
            "paths": ["a.jpg", "b.jpg"],
            "truth": [0, 1],
            "top1": {"train": [0, 1], "quantize": [1, 1]},
            "confidence": {"train": [0.9, 0.8], "quantize": [0.6, 0.9]},
            "truth_confidence": {"train": [0.9, 0.8], "quantize": [0.4, 0.9]},
        }
        bench.with_name("answers.json").write_text(json.dumps(answers))
        layers = {
            "images": 8,
            "judged_on": "val",
            "float_top1_pct": 90.0,
            "layers": [{"layer": "x", "kl": 0.1, "top1_pct": 80.0}],
        }
        (run.path / "02-quantize").mkdir()
        (run.path / "02-quantize" / "sensitivity.json").write_text(json.dumps(layers))
        texts = {str(path.relative_to(run.path)): json.loads(path.read_text()) for path in run.path.rglob("*.json")}
    return [json.dumps(texts).encode()]


def lying_json(whole: bytes, rng: random.Random) -> bytes:
    """Return the text with one to four of its values changed."""
    value = json.loads(whole)
    for _ in range(rng.choice((1, 1, 2, 4))):
        change_json(value, rng)
    return json.dumps(value).encode()


def lying_yaml(whole: bytes, rng: random.Random) -> bytes:
    """Return the text with one to four of its values changed."""
    value = yaml.safe_load(whole)
    for _ in range(rng.choice((1, 1, 2, 4))):
        change_json(value, rng)
    return yaml.safe_dump(value).encode()


def read_recipe(path: Path) -> None:
    """Read and plan it, beside the folder that it names."""
    from compress.recipe.load import load_recipe
    from compress.recipe.plan import plan

    (path.parent / "images").mkdir(exist_ok=True)
    plan(load_recipe(path))


def read_settings(path: Path) -> None:
    """Read them as `imgc serve --config` does."""
    from compress.serve.settings import gather

    gather({}, path, {})


def read_manifest(path: Path) -> None:
    """Read it beside images of the names that the whole one has."""
    from compress.data.csv_manifest import list_csv

    for split in ("train", "val"):
        (path.parent / split).mkdir(exist_ok=True)
        for n in range(4):
            (path.parent / split / f"{n}.jpg").touch()
    list_csv(path)


def read_run(path: Path) -> None:
    """Lay the run out, and write its reports."""
    from compress.errors import UsageError
    from compress.report.html import to_html
    from compress.report.json_report import build_report
    from compress.report.markdown import to_markdown

    try:
        texts = json.loads(path.read_bytes())
        texts = {str(name): content for name, content in texts.items()}
    except (ValueError, AttributeError):
        raise UsageError("no texts of a run") from None
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "demo"
        for name in _RUN_FILES & set(texts):
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text(json.dumps(texts[name]))
        report = build_report(run)
        to_markdown(report)
        with patch("compress.report.html._drawings", return_value=None):  # its threads do not outlive a fork
            to_html(report)


_RUN_FILES = {
    "run.lock.json",
    "gates.json",
    "environment.json",
    "02-quantize/sensitivity.json",
    "03-benchmark/bench.json",
    "03-benchmark/answers.json",
}
