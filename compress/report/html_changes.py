"""The sections of report.html that say what compression changed: recall, confusions, images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from compress.report.changes import Changes, ImageChange
from compress.report.html_box_changes import box_change
from compress.report.json_report import Report
from compress.report.markup import details, escape, figures, paragraph, section, table
from compress.report.numbers import number_text
from compress.report.table import RECALL_COLUMNS, changes_line, recall_cells

_PAIR_COLUMNS = ("class", "answered with", "before", "after")


def change_sections(report: Report, drawings: Mapping[str, str]) -> Iterator[str]:
    """Yield one section: how the last model answers otherwise than the baseline, and folded the others."""
    bodies = [(one.stage, _change(one, report, drawings)) for one in report.changes]
    bodies += [(one.stage, box_change(one, report, drawings)) for one in report.box_changes]
    if not bodies:
        return
    (stage, first), *others = bodies
    folded = "".join(f"<h3>{escape(name)}</h3>\n{body}" for name, body in others)
    title = f"What changed: {stage} beside {report.baseline}"
    yield section(title, first, details("The other models", folded))


def _change(changes: Changes, report: Report, drawings: Mapping[str, str]) -> str:
    row = next((row for row in report.rows if row.stage == changes.stage), None)
    alike = f"Answers every image as {', '.join(changes.alike)} does. " if changes.alike else ""
    parts = (
        paragraph(alike + changes_line(changes, row) + "."),
        f'<div class="figures"><div>{_recall(changes, drawings)}</div><div>{_confusions(changes)}</div></div>',
        _gallery(changes, Path(report.images_folder)),
    )
    return "\n".join(part for part in parts if part)


def _recall(changes: Changes, drawings: Mapping[str, str]) -> str:
    rows = [recall_cells(one) for one in changes.recall]
    drawn = figures(drawings, {f"recall-{changes.stage}": "From the baseline to this model, the largest loss first"})
    found = table(RECALL_COLUMNS, rows)
    return f"<h3>Recall of each class</h3>\n{drawn}\n{details('All classes', found) if drawn else found}"


def _confusions(changes: Changes) -> str:
    rows = [(one.truth, one.answer, str(one.before), str(one.after)) for one in changes.confusions]
    return f"<h3>Confusions that grew or shrank</h3>\n{table(_PAIR_COLUMNS, rows, 2) or paragraph('None.', 'soft')}"


def _gallery(changes: Changes, folder: Path) -> str:
    if not changes.images:
        return ""
    items = "\n".join(_image(one, folder) for one in changes.images)
    return f'<h3>Images whose answer changed, the worst first</h3>\n<ul class="images">\n{items}\n</ul>'


def _image(one: ImageChange, folder: Path) -> str:
    from compress.report.thumbnails import thumbnail

    uri = thumbnail(folder / one.path)
    shown = f'<img src="{uri}" alt="{escape(one.path)}">' if uri else '<span class="none">not found</span>'
    return (
        f"<li>{shown}<span>is <b>{escape(one.truth)}</b></span>"
        f"{_answer('before', one.before, one.before_confidence, one.truth)}"
        f"{_answer('after', one.after, one.after_confidence, one.truth)}"
        f'<span class="soft">{escape(one.path)}</span></li>'
    )


def _answer(when: str, answer: str, confidence: float, truth: str) -> str:
    tone, sign = ("good", "✓") if answer == truth else ("bad", "✗")
    said = f"{sign} {escape(answer)} {number_text(confidence, 2)}"
    return f'<span>{when} <b class="{tone}">{said}</b></span>'
