from __future__ import annotations

import pytest

from compress.core.log_reporter import LogReporter


def test_what_is_told_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    reporter = LogReporter()
    caplog.set_level("INFO", logger="compress")
    reporter.info("100 % done")
    reporter.warn("2 images left out")
    with reporter.progress("fit", 3) as advance:
        advance(3)
    assert caplog.record_tuples == [("compress", 20, "100 % done"), ("compress", 30, "2 images left out")]
