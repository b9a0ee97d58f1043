"""The sections of report.html on the precision of detectors: by class, and against recall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compress.report.json_report import Report
from compress.report.markup import details, figures, paragraph, section, table
from compress.report.table import class_cells, class_columns, classes_text

_CURVES_SAID = (
    "At IoU 0.50, as the mAP is made of: the mean over the classes of the precision at each recall. Dashed: the"
    " baseline. Models whose boxes are the same have one line."
)


def precision_sections(report: Report, drawings: Mapping[str, str]) -> Iterator[str]:
    """Yield what each class is worth in each file, and the curves; nothing for classifiers."""
    worth = table(class_columns(report.classes), map(class_cells, report.classes))
    if worth:
        yield section("Average precision of each class", paragraph(classes_text(report.classes), "soft"), worth)
    drawn = figures(drawings, {"precision": "Precision at each recall, mean over the classes"})
    if drawn:
        labels = report.precision[0].classes
        by_class = figures(drawings, {f"precision-{label}": label for label in labels})
        folded = details("The classes that lost most", by_class)
        yield section("Precision and recall", paragraph(_CURVES_SAID, "soft"), drawn, folded)
