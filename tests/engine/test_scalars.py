from __future__ import annotations

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from compress.engine.scalars import EVENTS_FILE, append_scalars, start_scalars


def _read(folder) -> list[tuple[int, str, float]]:
    events = EventFileLoader(str(folder / EVENTS_FILE)).Load()
    return [(e.step, v.tag, v.tensor.float_val[0]) for e in events for v in e.summary.value]


def test_tensorboard_reads_what_was_started_and_appended(tmp_path):
    append = {"epoch": 2, "loss": 0.25}
    start_scalars(tmp_path, [{"epoch": 1, "loss": 0.5}])
    append_scalars(tmp_path, append)
    assert _read(tmp_path) == [(1, "loss", pytest.approx(0.5)), (2, "loss", pytest.approx(0.25))]
    start_scalars(tmp_path, [])
    assert _read(tmp_path) == []
