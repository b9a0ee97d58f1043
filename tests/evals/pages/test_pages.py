"""The pages of docs/results/: each is what its JSON says, and carries what a reader must know to trust it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compress.errors import UsageError
from evals.pages import render
from evals.pages.pages import DOCS, PAGES, data_path, publish, render_all, rendered, runs_sentences
from evals.results.schema import read_results
from tests.evals.blocks import block

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / DOCS
WITH_LATENCY = {"runs", "int8", "pruning"}  # of a model; a server's is another thing


def test_every_page_has_its_json_and_every_json_its_page():
    assert {path.stem for path in COMMITTED.glob("*.md")} - {"README"} == set(PAGES)
    assert {path.stem for path in (COMMITTED / "data").glob("*.json")} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_its_json_says(name):
    page = COMMITTED / f"{name}.md"
    assert page.read_text() == rendered(name, COMMITTED), "make results-render"


@pytest.mark.parametrize("name", PAGES)
def test_every_block_has_its_circumstances(name):
    results = read_results(data_path(name, COMMITTED))
    assert results.name == name
    assert results.command == PAGES[name].command
    text = (COMMITTED / f"{name}.md").read_text()
    for one in results.blocks:
        measured = one.measured
        assert re.fullmatch("[0-9a-f]{7,40}", measured.commit)
        assert f"Measured on {measured.date} at `{measured.commit}`" in text
        assert measured.latency or name not in WITH_LATENCY, "which definition its milliseconds have"


def test_the_commands_are_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES.values():
        assert f"\n{page.command.removeprefix('make ')}:" in makefile
    assert "\nresults-render:" in makefile


def test_int8_files_have_no_ratio_to_another_runtime():
    for one in read_results(data_path("pruning", COMMITTED)).blocks:
        assert all(row["runtime"] == "torch" for row in one.rows if row.get("of_fp32") and one.measured.recovered_from)


def test_what_is_measured_is_kept_and_shown(tmp_path):
    page = tmp_path / "runs.md"
    page.write_text("before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n")
    rows = [{"stage": "prune", "top1_pct": 80.0}, {"stage": "prune-sibling", "top1_pct": 81.0}]
    publish("runs", (block(rows, texts=("stage",)),), tmp_path)
    publish("runs", (block([{"stage": "train", "top1_pct": 1.0}], key="two", texts=("stage",)),), tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "prune 80.00 against prune-sibling 81.00" in text
    assert "| train | 1.00 |" in text
    assert json.loads(data_path("runs", tmp_path).read_text())["command"] == "make results-runs"
    page.write_text(text.replace("80.00", "99.00"))
    assert render_all(tmp_path) == [page]
    assert page.read_text() == text


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"runs\.md: cannot be read"):
        publish("runs", (block([{"stage": "train"}], texts=("stage",)),), tmp_path)


def test_a_run_without_siblings_has_nothing_to_tell():
    assert runs_sentences(block([{"stage": "train", "top1_pct": 1.0}], texts=("stage",))) == []


def test_the_command_that_renders_is_the_module():
    assert render.render_all is render_all
