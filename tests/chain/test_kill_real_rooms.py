"""SIGKILL in every stage of a real chain, then `imgc run --resume`: the artifacts are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RECIPE = """\
imgc: 1
name: kill
seed: 3
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 3, batch_size: 8}}}}
  - {{kind: prune, keep: 0.7, sibling: false}}
  - {{kind: distill, fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: quantize, scheme: int8_qat, calibration_count: 16, reconstruct: {{steps: 20}},
     fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: export, format: all}}
"""
STAGES = ("01-train", "02-prune", "03-distill", "04-quantize", "05-export-onnx", "06-export-tflite")
pytestmark = pytest.mark.slow


def _start(arguments: list[str], runs: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "compress", "--quiet", "run", *arguments, "--runs-dir", str(runs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ))


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()


def _hashes(runs: Path) -> dict[str, str]:
    lock = json.loads((runs / "kill" / "run.lock.json").read_text())
    return {stage["id"]: stage["artifact"]["sha256"] for stage in lock["stages"]}


def _kill_in(stage: str, arguments: list[str], runs: Path) -> bool:
    """Start the run, kill it as soon as it works in this stage; return whether the stage was still unsealed."""
    process = _start(arguments, runs)
    sealed = runs / "kill" / stage
    partials = runs / "kill" / ".partial"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if sealed.exists() or list(partials.glob(f"{stage}-*")):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    return not sealed.exists()


@pytest.mark.timeout(900)
def test_a_run_killed_in_every_stage_ends_with_the_same_artifacts(photos: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "kill.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    _finish(_start([str(recipe)], undisturbed))

    arguments = [str(recipe)]
    killed = []
    for stage in STAGES:
        killed.append(_kill_in(stage, arguments, disturbed))
        arguments = ["--resume"]
    _finish(_start(arguments, disturbed))

    assert sum(killed) >= 4, "most kills must have hit a stage at work"
    assert list(_hashes(undisturbed)) == ["train", "prune", "distill", "quantize", "export-onnx", "export-tflite"]
    assert _hashes(disturbed) == _hashes(undisturbed)
    assert not (disturbed / "kill" / ".partial").exists()
