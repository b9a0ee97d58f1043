"""A comparison as text."""

from __future__ import annotations

from compress.benchmark.compare import Change, Comparison
from compress.report.compare_runs import compare_runs
from compress.report.compared import comparison_markdown, remarks


def test_markdown_has_a_row_for_each_change_and_says_each_reason_once(make_run) -> None:
    found = compare_runs(make_run("a").path, make_run("b").path)
    text = comparison_markdown("a -> b", found)
    assert text.startswith("# a -> b\n")
    assert text.count("\n| ") == len(found.changes) + 2
    assert text.count("no interval") == 1
    assert len(remarks(found)) == 1


def test_a_reason_of_many_changes_names_the_first_four() -> None:
    changes = [Change(stage="s", metric=f"m{n}", old=1, new=1, verdict="same", reason="other host") for n in range(6)]
    assert remarks(Comparison(changes=tuple(changes))) == ["other host: s m0, s m1, s m2, s m3 and 2 more"]
