"""Who vouches for a model file."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_runs import run

from compress.pipeline import given
from tests.tiny_files import Tiny


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    monkeypatch.setattr(given, "try_out", lambda path, purpose: found.append((path, purpose)))
    return found


def test_a_file_without_a_seal_is_tried(tiny: Tiny, tried: list[tuple[Path, str]]):
    path = tiny.onnx()
    given.vouch(path)
    given.vouch(path, "look")
    assert tried == [(path, "run"), (path, "look")]


def test_what_a_run_sealed_is_not(tmp_path: Path, tried: list[tuple[Path, str]]):
    folder = run([{"kind": "train"}], tmp_path).run_dir / "01-train"
    given.vouch(folder / "model.safetensors")
    assert tried == []
    (folder / "metrics.json").with_suffix(".onnx").write_bytes(b"")
    given.vouch(folder / "metrics.onnx")
    assert [path.name for path, _ in tried] == ["metrics.onnx"]
