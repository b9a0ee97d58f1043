"""A comparison as text."""

from __future__ import annotations

from compress.report.compare_runs import compare_runs
from compress.report.compared import comparison_markdown, remarks


def test_markdown_has_a_row_for_each_change_and_says_each_reason_once(make_run) -> None:
    found = compare_runs(make_run("a").path, make_run("b").path)
    text = comparison_markdown("a -> b", found)
    assert text.startswith("# a -> b\n")
    assert text.count("\n| ") == len(found.changes) + 2
    assert text.count("no interval") == 1
    assert len(remarks(found)) == 1
