"""Peak memory of a fresh process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.benchmark.memory import own_peak_rss_bytes, peak_rss_bytes
from compress.errors import StageError

MB = 1_000_000


def test_a_child_of_a_large_process_is_not_large(make_artifact) -> None:
    ballast = np.ones(400 * MB, np.uint8)
    peak = peak_rss_bytes(make_artifact("export").path)
    assert own_peak_rss_bytes() > 400 * MB
    assert 20 * MB < peak < 300 * MB
    assert ballast[-1] == 1


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(StageError, match=r"broken\.onnx: the process .* failed: .*ModelFileError"):
        peak_rss_bytes(path)
