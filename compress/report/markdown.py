"""`report.md`: a run on one page, readable in a CI summary."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.schema import Bench
from compress.core.visible import visible
from compress.report.box_changes import BoxChanges
from compress.report.changes import Changes
from compress.report.json_report import GateRow, Report
from compress.report.numbers import NOT_MEASURED
from compress.report.siblings import sibling_line
from compress.report.table import (
    RECALL_COLUMNS,
    TEXT_COLUMNS,
    box_changes_line,
    changes_line,
    class_cells,
    class_columns,
    classes_text,
    columns,
    host_text,
    markdown_table,
    recall_cells,
    rows_text,
    setting_text,
    table_rows,
)

_WORST_CLASSES = 5
_GATE_COLUMNS = ("gate", "at", "limit", "value", "result")


def to_markdown(report: Report) -> str:
    """Return the report as Markdown: verdict, tables, siblings, changes, gates, other machines, what to ship."""
    parts = [f"# imgc run `{report.run}`", _verdict(report.gates), _setting(report)]
    parts.append(markdown_table(columns(report.rows), table_rows(report.rows), TEXT_COLUMNS))
    parts += report.notes
    if report.siblings:
        lines = [f"- {sibling_line(row)}" for row in report.siblings]
        parts += ["## Against the stock narrower network", "\n".join(lines)]
    if report.classes:
        worth = markdown_table(class_columns(report.classes), [class_cells(one) for one in report.classes], 1)
        parts += ["## Average precision of each class", classes_text(report.classes), worth]
    if report.changes:
        parts += ["## What compression changed", *_changes(report, report.changes[0])]
    if report.box_changes:
        parts += ["## What compression changed", _box_changes(report, report.box_changes[0])]
    if report.sensitivity:
        parts += ["## What each layer costs", "\n".join(f"- [{path}]({path})" for path in report.sensitivity)]
    if report.gates:
        rows = [_gate_cells(gate) for gate in report.gates]
        parts += ["## Gates", markdown_table(_GATE_COLUMNS, rows, 2)]
    parts += _remote_benchmarks(report.elsewhere)
    parts += ["## How to repeat it", _repeat(report)]
    if report.ship:
        commands = "\n".join(report.ship.commands)
        parts += ["## Ship this file", f"`{report.ship.path}`", " ".join(report.ship.facts), f"```\n{commands}\n```"]
    return visible("\n\n".join(parts) + "\n", keep="\n")


def _remote_benchmarks(benches: Sequence[Bench]) -> list[str]:
    parts = ["## On other machines"] if benches else []
    for bench in benches:
        setting = rows_text(bench.rows, bench.baseline, bench.split) or "without images"
        parts += [
            f"Measured: {setting}.\n\nMachine: {host_text(bench.host)}.",
            *(f"> **Warning:** {text}" for text in bench.warnings),
            markdown_table(columns(bench.rows), table_rows(bench.rows), TEXT_COLUMNS),
        ]
    return parts


def _changes(report: Report, changes: Changes) -> tuple[str, ...]:
    """Return how the newest model answers beside the baseline, and its classes that lost most."""
    row = next((row for row in report.rows if row.stage == changes.stage), None)
    said = f"{changes.stage} beside {report.baseline}: {changes_line(changes, row)}."
    cells = [recall_cells(one) for one in changes.recall[:_WORST_CLASSES] if one.change_pp < 0]
    return said, markdown_table(RECALL_COLUMNS, cells, 1) if cells else "No class lost recall."


def _box_changes(report: Report, changes: BoxChanges) -> str:
    row = next((row for row in report.rows if row.stage == changes.stage), None)
    return f"{changes.stage} beside {report.baseline}: {box_changes_line(changes, row)}."


def _verdict(gates: tuple[GateRow, ...]) -> str:
    if not gates:
        return "The recipe has no gates."
    broken = sum(not gate.passed for gate in gates)
    return f"**{broken} of {len(gates)} gates broken.**" if broken else f"All {len(gates)} gates hold."


def _setting(report: Report) -> str:
    measured = setting_text(report)
    if not measured:
        return "Not benchmarked yet: `imgc benchmark` measures the models of the run."
    return f"Measured: {measured}.\n\nMachine: {host_text(report.host)}."


def _gate_cells(gate: GateRow) -> tuple[str, ...]:
    value = "not measured" if gate.value is None else f"{gate.value:g}"
    return (gate.metric, gate.at, f"{gate.limit:g}", value, "pass" if gate.passed else "**FAIL**")


def _repeat(report: Report) -> str:
    commands = "\n".join(report.commands)
    return (
        f"```\n{commands}\n```\n\n"
        "Same recipe, seed and data give the same files (sha256 in `report.json`); times differ by machine."
        f" `{NOT_MEASURED}`: not measured."
    )
