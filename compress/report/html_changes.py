"""The sections of report.html that say what compression changed: recall, confusions, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from compress.report.changes import Changes, PictureChange, changes_line
from compress.report.json_report import Report
from compress.report.markup import details, escape, figures, paragraph, section, table
from compress.report.table import number_text

_RECALL_COLUMNS = ("class", "pictures", "before %", "after %", "change pp")
_PAIR_COLUMNS = ("class", "answered with", "before", "after")


def change_sections(report: Report, drawings: Mapping[str, str]) -> Iterator[str]:
    """Yield one section for each model that answers otherwise than the baseline."""
    rows = {row.stage: row for row in report.rows}
    for changes in report.changes:
        alike = f"Answers every picture as {', '.join(changes.alike)} does. " if changes.alike else ""
        name = f"recall-{changes.stage}"
        yield section(
            f"What changed: {changes.stage} beside {report.baseline}",
            paragraph(alike + changes_line(changes, rows.get(changes.stage)) + "."),
            "<h3>Recall of each class</h3>",
            figures(drawings, {name: "From the baseline to this model, the largest loss first"}),
            _recall(changes, folded=name in drawings),
            "<h3>Confusions that grew or shrank</h3>" if changes.confusions else "",
            table(
                _PAIR_COLUMNS,
                ((one.truth, one.answer, str(one.before), str(one.after)) for one in changes.confusions),
                2,
            ),
            _gallery(changes, Path(report.pictures_folder)),
        )


def _recall(changes: Changes, *, folded: bool) -> str:
    rows = [
        (
            one.label,
            str(one.pictures),
            number_text(one.before_pct, 2),
            number_text(one.after_pct, 2),
            number_text(one.change_pp, 2),
        )
        for one in changes.recall
    ]
    found = table(_RECALL_COLUMNS, rows)
    return details("All classes", found) if folded else found


def _gallery(changes: Changes, folder: Path) -> str:
    if not changes.pictures:
        return ""
    items = "\n".join(_picture(one, folder) for one in changes.pictures)
    return f'<h3>Pictures whose answer changed, the worst first</h3>\n<ul class="pictures">\n{items}\n</ul>'


def _picture(one: PictureChange, folder: Path) -> str:
    from compress.report.thumbnails import thumbnail

    uri = thumbnail(folder / one.path)
    shown = f'<img src="{uri}" alt="{escape(one.path)}">' if uri else '<span class="none">not found</span>'
    return (
        f"<li>{shown}<span>is <b>{escape(one.truth)}</b></span>"
        f"{_answer(one.before, one.before_confidence, one.truth)}{_answer(one.after, one.after_confidence, one.truth)}"
        f'<span class="soft">{escape(one.path)}</span></li>'
    )


def _answer(answer: str, confidence: float, truth: str) -> str:
    tone, sign = ("good", "✓") if answer == truth else ("bad", "✗")
    return f'<span class="{tone}">{sign} {escape(answer)} {number_text(confidence, 2)}</span>'
