from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from compress.engine.scalars import EVENTS_FILE, append_scalars, read_scalars, start_scalars


def _read(folder) -> list[tuple[int, str, float]]:
    events = EventFileLoader(str(folder / EVENTS_FILE)).Load()
    return [(e.step, v.tag, v.tensor.float_val[0]) for e in events for v in e.summary.value]


@pytest.mark.slow
def test_tensorboard_reads_what_was_started_and_appended(tmp_path):
    append = {"epoch": 2, "loss": 0.25}
    start_scalars(tmp_path, [{"epoch": 1, "loss": 0.5}])
    append_scalars(tmp_path, append)
    assert _read(tmp_path) == [(1, "loss", pytest.approx(0.5)), (2, "loss", pytest.approx(0.25))]
    start_scalars(tmp_path, [])
    assert _read(tmp_path) == []


def test_the_scalars_are_read_back_and_a_torn_record_is_passed_over(tmp_path):
    rows = [{"epoch": 1, "loss": 0.5, "lr": 0.25}, {"epoch": 2, "loss": 0.125, "lr": 0.5}]
    assert read_scalars(tmp_path) == []
    start_scalars(tmp_path, rows)
    assert read_scalars(tmp_path) == rows
    path = tmp_path / EVENTS_FILE
    path.write_bytes(path.read_bytes()[:-3])
    assert read_scalars(tmp_path) == rows[:1]
