"""`imgc bundle`: mistakes; the way there and back is in tests/report/test_bundle.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Imgc = Callable[..., Result]


def test_without_a_run(imgc: Imgc, folder: Path):
    result = imgc("bundle")
    assert result.exit_code == 2
    assert "there is no run yet" in result.stderr
    assert list(folder.iterdir()) == []


def test_without_a_light_file(imgc: Imgc, make_run: Callable[..., Path]):
    make_run("r", [{"kind": "train", "arch": "tiny", "weights": "none"}])
    result = imgc("bundle", "r", "--out", "b")
    assert result.exit_code == 2
    assert "imgc export --format tflite" in result.stderr
    assert not Path("b").exists()
