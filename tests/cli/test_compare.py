"""`imgc benchmark compare` as a gate, and `imgc report A B`."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from compress.benchmark.schema import Bench, Row

Imgc = Callable[..., Result]
HOST = {"cpu": "Some CPU", "arch": "x86_64", "cores": 2, "flags": []}
LIMIT = ("--fail-on", "latency_p50_ms:+5%")


def bench(path: Path, p50: float, host: dict[str, Any] = HOST) -> Path:
    row = Row.model_validate(
        {
            **{"stage": "int8", "format": "onnx", "precision": "int8", "path": "m.onnx", "sha256": "0", "params": 1},
            **{"macs": 1, "size_bytes": 1000, "threads": 1, "batch": 1, "latency_p50_ms": p50},
            "latency_p50_ci95_ms": (p50 - 0.01, p50 + 0.01),
        }
    )
    path.write_text(Bench(host=host, baseline="int8", rows=(row,)).model_dump_json())
    return path


def test_a_broken_limit_is_exit_5_with_the_numbers(imgc: Imgc, folder: Path):
    old, new = bench(folder / "old.json", 2.0), bench(folder / "new.json", 2.5)
    result = imgc("benchmark", "compare", old, new, *LIMIT, "--junit", "gate.xml")
    assert result.exit_code == 5
    assert "limit broken: latency_p50_ms of int8: 2 -> 2.5, limit +5%" in result.stderr
    assert "worse, BROKEN" in result.stdout
    assert ET.parse(folder / "gate.xml").getroot().get("failures") == "1"
    assert imgc("benchmark", "compare", new, old, *LIMIT).exit_code == 0
    assert imgc("benchmark", "compare", old, new).exit_code == 0, "without a limit nothing breaks"


def test_json_alone_on_stdout(imgc: Imgc, folder: Path):
    old, new = bench(folder / "old.json", 2.0), bench(folder / "new.json", 2.5)
    result = imgc("bench", "compare", old, new, *LIMIT, "--json")
    assert result.exit_code == 5
    changes = {change["metric"]: change for change in json.loads(result.stdout)["changes"]}
    assert changes["latency_p50_ms"]["broken"]
    assert changes["size_bytes"]["verdict"] == "same"


def test_a_gate_that_could_judge_nothing_does_not_pass(imgc: Imgc, folder: Path):
    old, new = bench(folder / "old.json", 2.0), bench(folder / "new.json", 2.0, {**HOST, "cpu": "Another"})
    result = imgc("benchmark", "compare", old, new, *LIMIT)
    assert result.exit_code == 5
    assert "warning: measured on other machines (cpu Some CPU and Another)" in result.stderr
    assert "no limit could be held against anything" in result.stderr
    assert imgc("benchmark", "compare", old, new, *LIMIT, "--fail-on", "size_bytes:+0").exit_code == 0
    new.write_text(Bench(host=HOST, baseline="", rows=()).model_dump_json())
    assert imgc("benchmark", "compare", new, old, *LIMIT).exit_code == 5, "no rows before"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "old.json", "absent.json"], "absent.json: cannot be read"),
        (["compare", "old.json", "old.json", "--fail-on", "latency_p50:+5%"], "did you mean 'latency_p50_ms'"),
        (["--fail-on", "latency_p50_ms:+5%"], "No such option"),
        (["compare", "old.json", "--junit", "x.xml"], "Missing argument"),
        (["bundle", "."], "is no bundle"),
    ],
)
def test_mistakes(imgc: Imgc, folder: Path, arguments: list[str], words: str):
    bench(folder / "old.json", 2.0)
    result = imgc("benchmark", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["old.json"]


def test_two_runs(imgc: Imgc, make_run: Callable[..., Path]):
    chain = [{"kind": "train", "arch": "tiny", "weights": "none"}]
    folders = [make_run(name, chain) for name in ("a", "b")]
    before = [sorted(folder.rglob("*")) for folder in folders]
    result = imgc("report", "a", "b")
    assert result.exit_code == 0, result.output
    assert "run a -> b" in result.stdout
    assert "size_bytes" in result.stdout
    assert imgc("report", "a", "b", "--markdown").stdout.startswith("# run a -> b\n")
    assert json.loads(imgc("report", "a", "b", "--json").stdout)["changes"][0]["verdict"] == "same"
    assert [sorted(folder.rglob("*")) for folder in folders] == before, "comparing writes nothing"
    assert imgc("report", "a", "c").exit_code == 2
    assert imgc("report", "a", "b", "--add", "x.json").exit_code == 2
