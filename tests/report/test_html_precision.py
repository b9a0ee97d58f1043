"""report.html of a detector's run: by class, against recall, with boxes drawn, and without a word on top-1."""

from __future__ import annotations

import json
import sys
from html import unescape

import pytest

from compress.report.html import NO_CHARTS, has_charts, to_html
from compress.report.json_report import build_report
from compress.report.markdown import to_markdown
from tests.report.box_run import LABELS, box_run
from tests.report.page_text import PageText, numbers, told

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml


@pytest.fixture
def report(make_run, tmp_path):
    return build_report(box_run(make_run, tmp_path / "images").path)


def test_the_page_has_every_section_and_no_top_1(report) -> None:
    page = to_html(report)
    text = PageText(page).texts
    for title in (
        *("Each model of the run", "What accuracy costs", "mAP against median latency", "mAP against size"),
        *("Average precision of each class", "Precision and recall", "The classes that lost most"),
        *("What changed: export beside train", "Images whose boxes changed, the worst first"),
    ):
        assert title in text
    assert any(
        "3 of 4 images have other boxes: 3 of the baseline's are gone, 3 are new; of 8 labelled boxes it finds 5, the"
        " baseline 8; where nothing is labelled it has 3 boxes, the baseline 0." in line
        for line in text
    )
    assert "top-1" not in page.lower()
    assert "recall of each class" not in page.lower()


def test_every_class_is_told_of_every_file(report) -> None:
    text = PageText(to_html(report)).texts
    place = text.index(LABELS[2])
    assert text[place : place + 5] == [LABELS[2], "8.00", "52.50 / 85.00", "44.75 / 79.75", "44.50 / 79.00"]
    assert text[place + 5] == "nut", "it rose in every file, and comes last"


def test_every_number_is_found_in_report_json(report) -> None:
    page = to_html(report)
    assert has_charts()
    known = set(told(json.loads(report.model_dump_json())))
    found = {number for text in PageText(page).texts for number in numbers(text)}
    assert len(found) > 40
    assert found - known == set()


def test_boxes_are_drawn_before_and_after(report) -> None:
    page = to_html(report)
    images = [facts for tag, facts in PageText(page).tags if tag == "img"]
    assert [facts["alt"] for facts in images] == ["1.png before", "1.png after", "2.png before", "2.png after"]
    assert len({facts["src"] for facts in images}) == 4
    assert page.count(">not found<") == 2, "the file of the worst image is gone"
    assert "mistakes <b>0 → 4</b>" in page
    assert "gone: bolt &amp; screw 0.80" in page
    assert f"new: {LABELS[1]} 0.35" in unescape(page)
    assert len(page) < 400_000


def test_labels_from_outside_are_only_text(report) -> None:
    page = to_html(report)
    assert "<script" not in page
    assert LABELS[1] in unescape(page)
    assert "bolt & screw" not in page


def test_of_many_boxes_a_few_are_named(report) -> None:
    (changes,) = report.box_changes
    image = changes.images[0]
    many = image.model_copy(update={"before": image.before * 5, "after": ()})
    page = to_html(report.model_copy(update={"box_changes": (changes.model_copy(update={"images": (many,)}),)}))
    assert "gone: nut 0.90, bolt &amp; screw 0.80, nut 0.90, bolt &amp; screw 0.80 ...<" in page


def test_without_the_extra_there_are_tables(report, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "compress.report.charts", None)
    page = to_html(report)
    assert f"{NO_CHARTS}." in PageText(page).texts
    assert "<svg" not in page
    assert "44.50 / 79.00" in page
    assert "Precision and recall" not in page


def test_markdown_has_the_classes_and_what_changed(report) -> None:
    text = to_markdown(report)
    assert "| stage | format | precision | size | params | MACs | mAP % | 95 % interval | AP50 % | drop pp |" in text
    assert "| class | drop pp | train | quantize | export |" in text
    assert "| bolt & screw | 8.00 | 52.50 / 85.00 | 44.75 / 79.75 | 44.50 / 79.00 |" in text
    assert "export beside train: 3 of 4 images have other boxes" in text
    assert "top-1" not in text.lower()


def test_classes_that_are_left_out_are_told_of(report) -> None:
    (first, *_) = report.classes
    many = tuple(first.model_copy(update={"label": f"c{index}"}) for index in range(100))
    assert "Other classes are left out" in to_html(report.model_copy(update={"classes": many}))
    assert "Other classes are left out" not in to_html(report)
