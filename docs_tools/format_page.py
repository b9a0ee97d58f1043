"""`file-fields.md`: every field of the files that imgc writes for other programs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from compress.benchmark.box_answers import BoxAnswers
from compress.benchmark.bundle_file import Manifest
from compress.benchmark.schema import Answers, Bench
from compress.core.spec import ModelSpec
from compress.pipeline.lock import RunLock
from compress.report.json_report import Report
from compress.tune.schema import TuneReport
from docs_tools.schema_tables import key_table, summary

_FILES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Model metadata `imgc.spec` and `spec.json`", ModelSpec),
    ("`run.lock.json`", RunLock),
    ("`bench.json`", Bench),
    ("`answers.json`", Answers),
    ("`answers.json` of detectors", BoxAnswers),
    ("`report.json`", Report),
    ("`tune.json`", TuneReport),
    ("`MANIFEST.json` of a bundle", Manifest),
)
_HEAD = """\
# Fields of the files

[File formats](file-formats.md) says where each file lies and what stays compatible.
"""


def format_page() -> str:
    """Return the page: one section a file, then the parts that the files share."""
    parts = [_HEAD]
    shared: dict[str, Any] = {}
    for title, model in _FILES:
        schema = model.model_json_schema()
        shared |= schema.get("$defs", {})
        parts.append(_section(f"## {title}", schema))
    parts.append("## Parts")
    parts += [_section(f"### {name}", one) for name, one in sorted(shared.items())]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(title: str, schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"{title}\n\n{summary(schema)}\n\nOne of {', '.join(f'`{value}`' for value in schema['enum'])}."
    return f"{title}\n\n{summary(schema)}\n\n{key_table(schema, defaults=False)}"
