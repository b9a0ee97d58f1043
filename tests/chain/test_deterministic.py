"""`--deterministic`: the same recipe in two fresh folders makes the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chain.forked import Forked

ROOT = Path(__file__).parents[2]
RECIPE = """\
imgc: 1
name: twice
seed: 3
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 2, batch_size: 8, mixup: 0.2}}}}
  - {{kind: prune, keep: 0.7, importance: taylor, recovery: {{epochs: 1, batch_size: 8}}}}
  - {{kind: distill, fit: {{epochs: 1, batch_size: 8, ema_decay: 0.9}}}}
  - {{kind: quantize, scheme: int8_qat, calibration_count: 8, reconstruct: {{steps: 5}},
     fit: {{epochs: 1, batch_size: 8}}}}
"""


@pytest.mark.slow
def test_two_fresh_runs_make_the_same_bytes(photos: Path, tmp_path: Path, exports_folder: Path):
    """One is a process of its own from the start, and the other is not: hash seeds and addresses differ."""
    recipe = tmp_path / "twice.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    folders = [tmp_path / "new", tmp_path / "forked"]  # other runs beside it would be reused
    words = [["-q", "run", str(recipe), "--deterministic", "--runs-dir", str(folder)] for folder in folders]
    forked = Forked(words[1], tmp_path, exports_folder)
    new = subprocess.run(
        [sys.executable, "-m", "tests.chain.new_process", str(exports_folder), *words[0]],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
    )
    assert new.returncode == 0, new.stderr
    code, _, errors = forked.finish()
    assert code == 0, errors
    hashes = []
    for folder in folders:
        lock = json.loads((folder / "twice" / "run.lock.json").read_text())
        assert not any(stage["reused"] for stage in lock["stages"])
        hashes.append([stage["artifact"]["sha256"] for stage in lock["stages"]])
    assert hashes[0] == hashes[1]
