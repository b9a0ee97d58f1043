"""The files beside the run."""

from __future__ import annotations

import json

from compress.report.json_report import Report
from compress.report.write import write_report


def test_the_files_are_written_and_say_the_same(make_run) -> None:
    run = make_run()
    report = write_report(run.path)
    assert Report.model_validate_json((run.path / "report.json").read_text()) == report
    for name in ("report.md", "report.html"):
        text = (run.path / name).read_text()
        assert all(row.stage in text for row in report.rows)


def test_json_has_no_nan_and_nulls_where_nothing_was_measured(make_run) -> None:
    run = make_run(benchmarked=False)
    write_report(run.path)

    def refuse(name: str) -> None:
        raise AssertionError(name)

    found = json.loads((run.path / "report.json").read_text(), parse_constant=refuse)
    assert found["baseline"] is None
    assert found["rows"][0]["latency_p50_ms"] is None


def test_writing_again_gives_the_same_bytes(make_run) -> None:
    run = make_run()
    write_report(run.path)
    before = [path.read_bytes() for path in sorted(run.path.glob("report.*"))]
    write_report(run.path)
    assert [path.read_bytes() for path in sorted(run.path.glob("report.*"))] == before
    assert len(before) == 3
