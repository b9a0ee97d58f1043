"""What report.html says of the boxes that compression changed: counts, classes, and images with their boxes drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compress.benchmark.box_answers import ImageBoxes
from compress.detect.answers import Boxes
from compress.report.box_changes import BoxChanges, BoxImageChange, ShownBox
from compress.report.json_report import Report
from compress.report.markup import escape, figures, paragraph
from compress.report.numbers import number_text
from compress.report.table import box_changes_line

_NAMED = 4  # boxes below an image
_MISTAKES = "Mistakes: labelled boxes that are missed, and boxes where nothing is labelled."


def box_change(changes: BoxChanges, report: Report, drawings: Mapping[str, str]) -> str:
    """Return how one detector's boxes differ from the baseline's."""
    row = next((row for row in report.rows if row.stage == changes.stage), None)
    alike = f"Finds the same boxes as {', '.join(changes.alike)}. " if changes.alike else ""
    caption = "mAP from the baseline to this model, the largest loss first"
    parts = (
        paragraph(alike + box_changes_line(changes, row) + "."),
        figures(drawings, {f"classes-{changes.stage}": caption}),
        _gallery(changes, Path(report.images_folder)),
    )
    return "\n".join(part for part in parts if part)


def _gallery(changes: BoxChanges, folder: Path) -> str:
    if not changes.images:
        return ""
    items = "\n".join(_image(one, folder) for one in changes.images)
    return (
        f"<h3>Images whose boxes changed, the worst first</h3>\n{paragraph(_MISTAKES, 'soft')}\n"
        f'<ul class="images pairs">\n{items}\n</ul>'
    )


def _image(one: BoxImageChange, folder: Path) -> str:
    from compress.report.thumbnails import drawn_thumbnails

    labels = {box.index: box.label for box in (*one.before, *one.after)}
    uris = drawn_thumbnails(folder / one.path, [_as_boxes(one.before), _as_boxes(one.after)], labels)
    sides = zip(("before", "after"), uris or (None, None), strict=True)
    shown = "".join(_side(when, uri, one.path) for when, uri in sides)
    return (
        f'<li><span class="pair">{shown}</span>'
        f"<span>mistakes <b>{one.mistakes_before} → {one.mistakes_after}</b></span>"
        f"{_differing('gone', one.before)}{_differing('new', one.after)}"
        f'<span class="soft">{escape(one.path)}</span></li>'
    )


def _side(when: str, uri: str | None, path: str) -> str:
    image = f'<img src="{uri}" alt="{escape(path)} {when}">' if uri else '<span class="none">not found</span>'
    return f"<span>{image}{when}</span>"


def _differing(word: str, boxes: Sequence[ShownBox]) -> str:
    """Return the boxes that the other answer has not, the best first."""
    names = [f"{one.label} {number_text(one.score, 2)}" for one in boxes if not one.same]
    said = ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
    return f"<span>{word}: {escape(said)}</span>" if names else ""


def _as_boxes(shown: Sequence[ShownBox]) -> Boxes:
    found = ImageBoxes(
        corners=tuple(one.box for one in shown),
        classes=tuple(one.index for one in shown),
        scores=tuple(one.score for one in shown),
    )
    return found.as_boxes()
