"""report.html: complete, true to report.json, without network and script, safe with labels from outside."""

from __future__ import annotations

import json
import sys
from html import unescape

import pytest

from compress.report.html import NO_CHARTS, has_charts, to_html
from compress.report.json_report import build_report
from compress.report.write import write_report
from tests.report.page_text import PageText, numbers, told
from tests.report.rich_run import LABELS, elsewhere, rich_run

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml


@pytest.fixture
def report(make_run, tmp_path):
    return build_report(rich_run(make_run, tmp_path / "images").path)


def _unfounded(page: str, found) -> set[str]:
    """Return the numbers of a page that are not in the JSON."""
    known = set(told(json.loads(found.model_dump_json())))
    return {number for text in PageText(page).texts for number in numbers(text)} - known


def test_the_page_has_every_section(report) -> None:
    text = PageText(to_html(report)).texts
    for title in (
        *("Each model of the run", "What accuracy costs", "What changed: export beside train"),
        *("The other models", "Ship this file", "What each layer costs: quantize", "What each layer costs: prune"),
        *("Training: train", "Gates", "Stages", "Environment", "Recipe", "How to repeat it"),
        *("Threads and images in a call", "Callers at once", "Where the time goes: export", "All operators"),
        *("Recall of each class", "Confusions that grew or shrank", "Images whose answer changed, the worst first"),
    ):
        assert title in text
    assert "Gates broken: size_bytes at export." in text
    assert report.recipe.rstrip() in text
    assert "\n".join(report.commands) in text
    assert text.index("Ship this file") > text.index("How to repeat it")
    assert sum(one.startswith("What changed") for one in text) == 1
    assert any("p = 0.0313 (exact McNemar test)" in line for line in text)


def test_every_number_is_found_in_report_json(report) -> None:
    page = to_html(report)
    assert has_charts()
    assert "<svg" in page
    assert len({number for text in PageText(page).texts for number in numbers(text)}) > 90
    assert _unfounded(page, report) == set()


@pytest.mark.parametrize(
    ("said", "altered"),
    [
        (">92.50<", ">92.51<"),  # a cell of the table
        (">2.12 ms<", ">2.21 ms<"),  # a label of a drawing
        (">1200000<", ">1200001<"),  # a gate
        ("<dd>93.00 → 92.00</dd>", "<dd>93.00 → 92.09</dd>"),
        (">✗ hat 0.89<", ">✗ hat 0.98<"),
        (">-33.33<", ">33.43<"),
    ],
)
def test_a_number_that_is_not_in_report_json_is_seen(report, said, altered) -> None:
    page = to_html(report)
    assert said in page
    assert len(_unfounded(page.replace(said, altered), report)) == 1


def test_nothing_is_loaded_and_nothing_runs(report) -> None:
    page = to_html(report)
    tags = PageText(page).tags
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "form", "base"}
    assert {facts["href"] for _, facts in tags if "href" in facts} == {"data:,"}
    assert all(facts["src"].startswith("data:image/jpeg;base64,") for _, facts in tags if "src" in facts)
    assert not [name for _, facts in tags for name in facts if name.startswith("on") or name == "xlink:href"]
    policy = next(facts["content"] for _, facts in tags if facts.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert "url(http" not in page
    assert "@import" not in page


@pytest.mark.slow
def test_labels_and_texts_from_outside_are_only_text(report) -> None:
    page = to_html(report)
    assert "<script" not in page
    assert LABELS[2] in PageText(page).texts  # shown as what it is
    assert LABELS[2] in unescape(page)
    hostile = report.model_copy(update={"run": '"><img src=x onerror=alert(1)>', "notes": ("<b>note</b>",)})
    assert "<img src=x" not in to_html(hostile)
    assert "<b>note" not in to_html(hostile)


@pytest.mark.slow
def test_images_are_shown_small_and_one_that_is_gone_is_said_to_be(report) -> None:
    page = to_html(report)
    shown = sum(len(changes.images) for changes in report.changes)
    images = [facts for tag, facts in PageText(page).tags if tag == "img"]
    assert len(images) == shown
    gone = report.model_copy(update={"images_folder": "/nowhere"})
    assert to_html(gone).count(">not found<") == shown
    assert len(page) < 400_000


def test_ids_are_unique_and_headings_in_order(report) -> None:
    text = PageText(to_html(report))
    ids = [facts["id"] for _, facts in text.tags if "id" in facts]
    assert len(ids) == len(set(ids))
    assert text.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(text.headings, text.headings[1:], strict=False))


def test_without_the_extra_there_are_tables_and_a_word_on_how_to_get_charts(report, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "compress.report.charts", None)
    page = to_html(report)
    assert f"{NO_CHARTS}." in PageText(page).texts
    assert "<svg" not in page
    assert "92.50" in page
    assert "All classes" not in page  # what a drawing stood for is unfolded
    assert _unfounded(page, report) == set()


def test_a_run_that_was_not_benchmarked_has_a_page(make_run) -> None:
    run = make_run(benchmarked=False)
    report = build_report(run.path)
    page = to_html(report)
    assert "Not benchmarked yet" in page
    assert "What changed" not in page
    assert _unfounded(page, report) == set()


def test_a_benchmark_without_answers_says_what_would_bring_them(make_run) -> None:
    report = build_report(make_run().path)
    assert report.changes == ()
    assert "`imgc benchmark` measures again" in to_html(report)


def test_other_machines_have_their_table(make_run, tmp_path) -> None:
    run = rich_run(make_run, tmp_path / "images")
    report = build_report(run.path).model_copy(update={"elsewhere": (elsewhere(run),)})
    page = to_html(report)
    assert "31.50" in page
    assert "Cortex-A72" in page
    assert _unfounded(page, report) == set()


def test_it_is_written_beside_the_others(make_run, tmp_path) -> None:
    run = rich_run(make_run, tmp_path / "images")
    report = write_report(run.path)
    assert (run.path / "report.html").read_text() == to_html(report)
