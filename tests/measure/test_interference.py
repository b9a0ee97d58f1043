"""What interferes with a measurement is read from counters and said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compress.measure.interference import Counters, counters, interference, load_doubt

QUIET: dict[str, Any] = {
    "own_s": 10.0,
    "switches": 5,
    "busy_s": 100.0,
    "steal_s": 1.0,
    "total_s": 1000.0,
    "quota_stops": 3,
    "heat_stops": 7,
}


def said(took_s: float = 2.0, **changes: float) -> list[str]:
    """Return what is said of 2 s on 2 cores in which we alone used one core, but for these changes."""
    after = QUIET | {"own_s": 12.0, "busy_s": 102.1, "total_s": 1004.0, "switches": 9} | changes
    return interference(Counters(0.0, **QUIET), Counters(took_s, **after))


def test_a_quiet_machine_is_not_accused() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"busy_s": 104.0}, "other programs used 1.0 cores"),
        ({"steal_s": 1.4}, "gave 10 % of the processor time to others"),
        ({"switches": 205}, "taken off its core 100 times a second"),
        ({"quota_stops": 5}, "quota stopped this process 2 times"),
        ({"heat_stops": 8}, "heat slowed the processor 1 times"),
    ],
)
def test_each_disturbance_is_said_alone(changes: dict[str, float], words: str) -> None:
    [text] = said(**changes)
    assert words in text


def test_too_short_a_time_says_nothing_of_others_but_still_of_throttling() -> None:
    assert said(0.05, busy_s=104.0) == []
    assert len(said(0.05, busy_s=104.0, heat_stops=8)) == 1


def test_a_system_without_counters_says_nothing(tmp_path: Path) -> None:
    found = counters(tmp_path)
    assert (found.busy_s, found.steal_s, found.total_s, found.quota_stops, found.heat_stops) == (None,) * 5
    assert interference(Counters(0.0), Counters(2.0)) == []


def test_the_kernels_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    heat = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"
    files = {
        "proc/stat": "cpu  100 10 50 1000 40 1 2 30 99 99\ncpu0 1 1 1 1 1 1 1 1 0 0\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 9\nnr_periods 8\nnr_throttled 4\nthrottled_usec 77\n",
        heat.format(0): "2\n",
        heat.format(11): "3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = counters(tmp_path)
    assert found.busy_s == pytest.approx(1.63)
    assert found.steal_s == pytest.approx(0.30)
    assert found.total_s == pytest.approx(12.33)  # guests are part of user time
    assert (found.quota_stops, found.heat_stops) == (4, 5)


def test_a_high_load_is_doubted_and_an_unknown_one_is_not() -> None:
    assert "load 3.1 on 2 cores" in load_doubt(3.1, 2)[0]
    assert load_doubt(3.0, 2) == load_doubt(None, 2) == []
