"""`--deterministic`: the same recipe in two fresh folders makes the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = """\
imgc: 1
name: twice
seed: 3
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 2, batch_size: 8, mixup: 0.2}}}}
  - {{kind: prune, keep: 0.7, importance: taylor, recovery: {{epochs: 1, batch_size: 8}}}}
  - {{kind: distill, fit: {{epochs: 1, batch_size: 8, ema_decay: 0.9}}}}
  - {{kind: quantize, scheme: int8_qat, calibration_count: 8, reconstruct: {{steps: 20}},
     fit: {{epochs: 1, batch_size: 8}}}}
"""


@pytest.mark.slow
def test_two_fresh_runs_make_the_same_bytes(photos: Path, tmp_path: Path):
    recipe = tmp_path / "twice.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    hashes = []
    for number in range(2):
        runs = tmp_path / str(number)  # other runs beside it would be reused
        command = [
            sys.executable,
            "-m",
            "compress",
            "-q",
            "run",
            str(recipe),
            "--deterministic",
            "--runs-dir",
            str(runs),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        lock = json.loads((runs / "twice" / "run.lock.json").read_text())
        assert not any(stage["reused"] for stage in lock["stages"])
        hashes.append([stage["artifact"]["sha256"] for stage in lock["stages"]])
    assert hashes[0] == hashes[1]
