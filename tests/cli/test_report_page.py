"""`imgc report` names the page, and says what would bring its charts."""

from __future__ import annotations

import json
import sys

from compress.report.html import NO_CHARTS

STAGES = [{"kind": "train", "arch": "mobilenet_v3_small"}]


def test_the_page_is_named(make_run, imgc) -> None:
    run = make_run("demo", STAGES)
    result = imgc("report", "demo")
    assert result.exit_code == 0
    assert "report.html" in result.output
    assert NO_CHARTS not in result.output
    assert "<svg" in (run / "report.html").read_text()


def test_without_the_extra_the_page_is_written_and_how_to_get_charts_is_said(make_run, imgc, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "compress.report.charts", None)
    run = make_run("demo", STAGES)
    result = imgc("report", "demo")
    assert result.exit_code == 0
    assert NO_CHARTS in result.output
    assert "<table>" in (run / "report.html").read_text()
    assert json.loads(imgc("report", "demo", "--json").stdout)["run"] == "demo"
