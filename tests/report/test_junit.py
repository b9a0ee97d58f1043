"""Gates and limits as JUnit XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from compress.benchmark.compare import Change
from compress.report.json_report import GateRow
from compress.report.junit import Case, gate_cases, junit_xml, limit_cases


def test_one_case_for_each_gate_with_its_numbers() -> None:
    gates = [
        GateRow(metric="top1_drop_pp", at="quantize", limit=1.5, value=1.0, passed=True),
        GateRow(metric="size_bytes", at="quantize", limit=500_000, value=600_000, passed=False),
        GateRow(metric="latency_p50_ms", at="quantize", limit=2, value=None, passed=False),
    ]
    root = ET.fromstring(junit_xml("imgc run demo", gate_cases(gates)))
    (suite,) = root
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("imgc run demo", "3", "2")
    assert [case.get("name") for case in suite] == [f"{gate.metric} at quantize" for gate in gates]
    messages = [failure.get("message") for failure in suite.iter("failure")]
    assert messages == [
        "size_bytes at quantize is 600000, limit 500000",
        "latency_p50_ms at quantize is not measured, limit 2",
    ]


def test_a_limit_that_nobody_could_judge_is_skipped() -> None:
    known = {"stage": "int8", "old": 1.0, "limit": "+5%"}
    changes = [
        Change(metric="latency_p50_ms", new=2.0, verdict="worse", broken=True, change_ci95=(0.9, 1.1), **known),
        Change(metric="cpu_ms", new=2.0, verdict="not comparable", reason="other machines", **known),
        Change(metric="size_bytes", new=1.0, verdict="same", **known),
        Change(metric="macs", new=None, verdict="not comparable", broken=True, reason="the row is gone", **known),
        Change(stage="int8", metric="params", old=1, new=1, verdict="same"),
    ]
    cases = limit_cases(changes)
    assert [(bool(case.failure), case.skipped) for case in cases] == [
        (True, ""),
        (False, "other machines"),
        (False, ""),
        (True, ""),
    ]
    assert "1 -> 2, limit +5%, change at the intervals' ends +0.9 to +1.1" in cases[0].failure
    assert ET.fromstring(junit_xml("s", cases))[0].get("skipped") == "1"


def test_text_is_escaped() -> None:
    root = ET.fromstring(junit_xml("a<b&c", [Case('"x"', failure="1 < 2 & ä")]).encode())
    assert root[0][0][0].get("message") == "1 < 2 & ä"
