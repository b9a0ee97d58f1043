"""The fixed computation, and what is remembered of it."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from compress.core.cache import cache_dir
from compress.measure import machine_speed as module
from compress.measure.machine_speed import MachineSpeed, reading_ms, speed_of_this_machine


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "cache"))


def after(*readings_ms: float, known_ms: float = inf) -> MachineSpeed:
    values = iter(readings_ms)
    speed = MachineSpeed(lambda: next(values), known_ms)
    for _ in readings_ms:
        speed.read()
    return speed


def test_the_computation_takes_time_and_is_the_same_again() -> None:
    assert 0 < reading_ms() < 1000
    assert (module._VALUES == 1).all()


def test_full_speed_is_within_a_tenth_of_the_best() -> None:
    speed = after(1.0, 1.5, 2.0)
    assert speed.best_ms == 1.0
    assert speed.limit_ms == pytest.approx(1.1)
    assert after(1.0, known_ms=0.5).limit_ms == pytest.approx(0.55)
    assert after(known_ms=0.5).best_ms == 0.5


def test_one_lucky_reading_of_many_is_not_the_best() -> None:
    assert after(0.2, *[1.0] * 30).best_ms == 1.0


def test_the_best_is_known_in_the_next_measurement_and_only_gets_better() -> None:
    assert speed_of_this_machine().known_ms == inf
    for reading, known in ((1.0, 1.0), (2.0, 1.0), (0.5, 0.5)):
        after(*[reading] * 20, known_ms=speed_of_this_machine().known_ms).remember()
        assert speed_of_this_machine().known_ms == known


def test_few_readings_tell_nothing() -> None:
    after(*[1.0] * 19).remember()
    assert speed_of_this_machine().known_ms == inf


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"x": 1}'])
def test_a_damaged_file_is_as_none_and_is_written_anew(content: str) -> None:
    path = cache_dir() / "speed.json"
    path.parent.mkdir()
    path.write_text(content)
    assert speed_of_this_machine().known_ms == inf
    after(*[1.0] * 20).remember()
    assert speed_of_this_machine().known_ms == 1.0


def test_a_wrong_value_is_as_none() -> None:
    after(*[1.0] * 20).remember()
    path = cache_dir() / "speed.json"
    for wrong in ('"fast"', "-1.0", "null"):
        path.write_text(path.read_text().rsplit(":", 1)[0] + f": {wrong}}}")
        assert speed_of_this_machine().known_ms == inf


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "file"))
    after(*[1.0] * 20).remember()
