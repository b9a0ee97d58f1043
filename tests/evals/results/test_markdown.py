from __future__ import annotations

import pytest

from compress.errors import UsageError
from evals.results.markdown import cell_text, measured_text, replace_block, results_markdown
from evals.results.schema import Column, ResultFile
from tests.evals.blocks import MEASURED, block

PAGE = "# Title\n\nbefore\n\n<!-- x:begin -->\nold numbers\n<!-- x:end -->\n\nafter\n"


@pytest.mark.parametrize(
    ("cell", "kind", "digits", "text"),
    [
        (None, "number", 2, "-"),
        ("813 KiB", "bytes", 0, "813 KiB"),
        (813 * 1024, "bytes", 0, "813 KiB"),
        (1_234_567, "count", 0, "1.23 M"),
        (1.005, "number", 1, "1.0"),
        (0, "number", 2, "0.00"),
        ((1.0, 2.04), "number", 1, "1.0-2.0"),
        ((0.5, 0.25, 1.0), "number", 2, "0.50 (0.25-1.00)"),
    ],
)
def test_cells(cell, kind, digits, text):
    assert cell_text(cell, Column(key="k", title="t", kind=kind, digits=digits)) == text


def test_a_block_tells_count_setting_machine_date_and_commit_before_its_table():
    results = ResultFile(name="x", command="make x", blocks=(block([{"model": "a", "ms": 1.5}]),))
    text = results_markdown(results, lambda one: [f"{len(one.rows)} row."], "A note.")
    head, note, circumstances, table, sentence = text.split("\n\n")
    assert "`make x`" in head
    assert note == "A note."
    assert circumstances.startswith("**`one`**: n = 9 test images, one thread. Machine: Some CPU (avx2), 2 cores")
    assert circumstances.endswith("Measured on 2026-11-26 at `abc1234`.")
    assert table.splitlines() == ["| model | ms |", "| --- | ---: |", "| a | 1.50 |"]
    assert sentence == "1 row."


def test_what_was_copied_changed_or_defined_otherwise_is_said():
    copied = MEASURED.model_copy(update={"recovered_from": "table in README at abc1234", "host": {}})
    assert "numbers copied from the table in README at abc1234." in measured_text(copied)
    assert "machine was not noted" in measured_text(copied)
    assert "changes that were not committed" in measured_text(MEASURED.model_copy(update={"changed": True}))
    assert "atency" not in measured_text(MEASURED)
    older = measured_text(MEASURED.model_copy(update={"latency": "call and conversion"}))
    assert "older definition" in older
    assert "runtime's own call" in measured_text(MEASURED.model_copy(update={"latency": "call"}))


def test_replacing_keeps_the_rest_and_can_be_repeated():
    text = replace_block(PAGE, "new", "x")
    assert text == PAGE.replace("\nold numbers\n", "\n\nnew\n\n")
    assert replace_block(text, "new", "x") == text


@pytest.mark.parametrize("page", ["", "B", "E", "EB", "BEE", "BBE"])
def test_a_page_without_one_pair_of_markers_is_refused(page):
    text = page.replace("B", "<!-- x:begin -->").replace("E", "<!-- x:end -->", -1)
    with pytest.raises(UsageError, match="x:begin"):
        replace_block(text, "block", "x")
