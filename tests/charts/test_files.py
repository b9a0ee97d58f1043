from __future__ import annotations

import subprocess
import sys

from compress.charts import files as module
from compress.charts.files import write_bars, write_heat_map
from compress.core.stage import SilentReporter


class Lines(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)


def test_both_charts_are_written(tmp_path):
    reporter = Lines()
    write_bars(tmp_path / "bars.svg", "A title", [("layer", 0.5, "0.5")], reporter)
    write_heat_map(tmp_path / "map.svg", "A title", ["group"], [("group", 0.5, 3.25)], reporter)
    for name, word in (("bars.svg", "layer"), ("map.svg", "group")):
        text = (tmp_path / name).read_text()
        assert text.startswith("<svg")
        assert ">A title<" in text
        assert f">{word}<" in text
    assert reporter.lines == []


def test_without_the_extra_nothing_is_written_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    reporter = Lines()
    write_bars(tmp_path / "bars.svg", "t", [("layer", 0.5, "0.5")], reporter)
    write_heat_map(tmp_path / "map.svg", "t", ["group"], [("group", 0.5, 3.25)], reporter)
    assert list(tmp_path.iterdir()) == []
    assert reporter.lines == [
        "bars.svg is not drawn: `pip install 'imgc-toolkit[report]'` brings what draws it",
        "map.svg is not drawn: `pip install 'imgc-toolkit[report]'` brings what draws it",
    ]


def test_a_stage_loads_no_chart_library_before_it_draws():
    code = "import sys, compress.charts.files; print({'altair', 'vl_convert'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
