"""JUnit XML: gates and limits as test cases, which every CI system shows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from compress.benchmark.compare import Change
from compress.core.visible import visible
from compress.report.json_report import GateRow

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


@dataclass(frozen=True)
class Case:
    """One test case.

    Attributes:
        name: of the case.
        failure: why it fails, with the numbers; empty when it holds.
        skipped: why nobody could tell; empty when somebody could.
    """

    name: str
    failure: str = ""
    skipped: str = ""


def gate_cases(gates: Sequence[GateRow]) -> list[Case]:
    """Return one case for each gate of a run."""
    return [Case(f"{gate.metric} at {gate.at}", failure="" if gate.passed else _gate_failure(gate)) for gate in gates]


def limit_cases(changes: Sequence[Change]) -> list[Case]:
    """Return one case for each change that has a limit."""
    return [
        Case(
            f"{change.metric} of {change.stage}",
            failure=change_text(change) if change.broken else "",
            skipped=change.reason if change.verdict == "not comparable" and not change.broken else "",
        )
        for change in changes
        if change.limit is not None
    ]


def change_text(change: Change) -> str:
    """Return one line: the numbers, the limit, and what bears on it."""
    old, new = ("not measured" if value is None else f"{value:.6g}" for value in (change.old, change.new))
    limit = f", limit {change.limit}" if change.limit else ""
    noise = ""
    if change.change_ci95 is not None:
        noise = f", change at the intervals' ends {change.change_ci95[0]:+.4g} to {change.change_ci95[1]:+.4g}"
    reason = f" ({change.reason})" if change.reason else ""
    return f"{change.metric} of {change.stage}: {old} -> {new}{limit}{noise}{reason}"


def junit_xml(suite: str, cases: Sequence[Case]) -> str:
    """Return the cases as one test suite."""
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "errors": "0",
    }
    root = ET.Element("testsuites", counts)
    parent = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    for case in cases:
        element = ET.SubElement(parent, "testcase", {"classname": suite, "name": visible(case.name)})
        if case.failure:
            ET.SubElement(element, "failure", {"message": visible(case.failure)}).text = visible(case.failure)
        elif case.skipped:
            ET.SubElement(element, "skipped", {"message": visible(case.skipped)})
    ET.indent(root)
    return f"{_HEAD}\n{ET.tostring(root, encoding='unicode')}\n"


def _gate_failure(gate: GateRow) -> str:
    value = "not measured" if gate.value is None else f"{gate.value:.10g}"
    return f"{gate.metric} at {gate.at} is {value}, limit {gate.limit:.10g}"
