"""`imgc report`: Markdown on stdout, JUnit, measurements of other machines."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import Result

Imgc = Callable[..., Result]
CHAIN = [{"kind": "train", "arch": "tiny", "weights": "none"}]


def test_markdown_is_report_md(imgc: Imgc, make_run: Callable[..., Path]):
    run_dir = make_run("r", CHAIN)
    text = imgc("report", "--markdown").stdout
    assert text == (run_dir / "report.md").read_text()
    assert text.startswith("# imgc run `r`\n")


def test_junit_has_the_gates(imgc: Imgc, make_run: Callable[..., Path]):
    run_dir = make_run("r", CHAIN)
    gate = {"metric": "size_bytes", "at": "train", "limit": 5, "value": 8, "passed": False}
    (run_dir / "gates.json").write_text(json.dumps([gate]))
    result = imgc("report", "--junit", "gates.xml", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["gates"][0]["passed"] is False
    (suite,) = ET.parse("gates.xml").getroot()
    assert (suite.get("name"), suite.get("failures")) == ("imgc run r", "1")


def test_what_cannot_be_added_is_refused(imgc: Imgc, make_run: Callable[..., Path]):
    run_dir = make_run("r", CHAIN)
    for text, words in (("{}", "not a bench.json"), ('{"host": {}, "baseline": "", "rows": []}', "measured no file")):
        Path("bench.json").write_text(text)
        result = imgc("report", "r", "--add", "bench.json")
        assert result.exit_code == 2
        assert words in result.stderr
    assert not (run_dir / "elsewhere").exists()


def test_run_writes_junit_before_a_broken_gate_ends_it(
    imgc: Imgc, make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    run_dir = make_run("r", CHAIN)
    gate = {"metric": "size_bytes", "at": "train", "limit": 5, "value": 8, "passed": False}
    (run_dir / "gates.json").write_text(json.dumps([gate]))
    done = SimpleNamespace(run_dir=run_dir, gates=[gate])
    monkeypatch.setattr("compress.pipeline.runner.run_recipe", lambda *_, **__: done)
    assert imgc("run", "--resume", "--junit", "gates.xml").exit_code == 5
    (failure,) = ET.parse("gates.xml").getroot().iter("failure")
    assert failure.get("message") == "size_bytes at train is 8, limit 5"
