"""Peak memory of a fresh process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.benchmark import memory as module
from compress.benchmark.memory import measure_fresh, own_peak_rss_bytes
from compress.errors import StageError

MB = 1_000_000


@pytest.mark.slow
def test_a_child_of_a_large_process_is_not_large(make_artifact) -> None:
    ballast = np.ones(400 * MB, np.uint8)
    found = measure_fresh(make_artifact("export").path)
    assert own_peak_rss_bytes() > 400 * MB
    assert found.steady_rss_bytes is not None
    assert 20 * MB < found.steady_rss_bytes <= found.peak_rss_bytes < 300 * MB
    assert ballast[-1] == 1


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(StageError, match=r"broken\.onnx: the process .* failed: .*ModelFileError"):
        measure_fresh(path)


def test_three_processes_and_their_medians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([(5, 3, 90.0), (7, 9, 20.0), (6, 4, 30.0)])

    def one(path: Path, command: list[str]) -> dict[str, object]:
        return dict(zip(("peak_rss_bytes", "steady_rss_bytes", "cold_start_ms"), next(numbers), strict=True))

    monkeypatch.setattr(module, "_one", one)
    found = measure_fresh(tmp_path / "m.onnx")
    assert (found.peak_rss_bytes, found.steady_rss_bytes, found.cold_start_ms) == (6, 4, 30.0)
    assert next(numbers, None) is None


def test_cold_start_is_of_the_first_answer(make_artifact) -> None:
    assert 0 < measure_fresh(make_artifact("export").path).cold_start_ms < 60_000
