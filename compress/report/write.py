"""Puts the report beside the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compress.core.storage import write_json, write_text
from compress.pipeline.gates import GateOutcome
from compress.report.html import to_html
from compress.report.json_report import Report, build_report
from compress.report.markdown import to_markdown

JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"
HTML_NAME = "report.html"


def write_report(run_dir: Path, gates: Sequence[GateOutcome] | None = None) -> Report:
    """Write `report.json`, `report.md` and `report.html` into the run's folder and return what they say.

    Args:
        run_dir: the run's folder.
        gates: results of `compress.pipeline.gates.check_gates`; default what the run's last attempt wrote.

    Raises:
        StageError: the folder holds no sealed stage, or a file in it is damaged.
    """
    report = build_report(run_dir, gates)
    write_json(run_dir / JSON_NAME, report.model_dump(mode="json"))
    write_text(run_dir / MARKDOWN_NAME, to_markdown(report))
    write_text(run_dir / HTML_NAME, to_html(report))
    return report
