"""A folder with images' place and a model file, and a writer of recipes."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "old.onnx").write_bytes(b"x")
    (tmp_path / "old.safetensors").write_bytes(b"x")
    return tmp_path


HEAD = "imgc: 1\nname: demo\ndata: {kind: folder, path: photos}\nstages:\n"


@pytest.fixture
def write(folder: Path):
    """Return a function that writes the stages (and what follows) below a right head, on line 5."""

    def _write(stages: str, head: str = HEAD) -> Path:
        path = folder / "recipe.yaml"
        path.write_text(head + stages)
        return path

    return _write
