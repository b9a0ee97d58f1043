"""SIGKILL in every stage of a real chain, then `imgc run --resume`: the artifacts are those of an undisturbed run."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.chain.forked import Death, Forked

RECIPE = """\
imgc: 1
name: kill
seed: 3
data: {{kind: folder, path: {photos}}}
stages:
  - {{kind: train, arch: tiny, weights: none, input_px: 32, fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: prune, keep: 0.7, sibling: false}}
  - {{kind: distill, fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: quantize, scheme: int8_qat, calibration_count: 16, reconstruct: {{steps: 3}},
     fit: {{epochs: 2, batch_size: 8}}}}
  - {{kind: export, format: all}}
"""
CHECKPOINT = "checkpoint.safetensors"
# a stage that trains is killed as it writes its second checkpoint, any other as it writes its first file
DEATHS = (
    Death("/.partial/01-train-", CHECKPOINT, 2),
    Death("/.partial/02-prune-"),
    Death("/.partial/03-distill-", CHECKPOINT, 2),
    Death("/.partial/04-quantize-", CHECKPOINT, 2),
    Death("/.partial/05-export-onnx-"),
    Death("/.partial/06-export-tflite-"),
)
pytestmark = pytest.mark.slow


def _hashes(runs: Path) -> dict[str, str]:
    lock = json.loads((runs / "kill" / "run.lock.json").read_text())
    return {stage["id"]: stage["artifact"]["sha256"] for stage in lock["stages"]}


def test_a_run_killed_in_every_stage_ends_with_the_same_artifacts(
    photos: Path, tmp_path: Path, exports_folder: Path
) -> None:
    recipe = tmp_path / "kill.yaml"
    recipe.write_text(RECIPE.format(photos=photos))
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"

    def run(runs: Path, arguments: list[str], death: Death | None = None) -> None:
        words = ["--quiet", "run", *arguments, "--runs-dir", str(runs)]
        code, _, errors = Forked(words, tmp_path, exports_folder, death=death).finish()
        assert code == (-signal.SIGKILL if death else 0), errors

    run(undisturbed, [str(recipe)])
    arguments = [str(recipe)]
    for place, death in enumerate(DEATHS):
        run(disturbed, arguments, death)
        (work,) = (disturbed / "kill").glob(f"{death.folder[1:]}*")
        assert bool(list(work.rglob(CHECKPOINT))) == (death.file == CHECKPOINT), "where it trains it can go on"
        assert len(list((disturbed / "kill").glob("0*"))) == place, "the stages before are sealed"
        arguments = ["--resume"]
    run(disturbed, arguments)

    assert list(_hashes(undisturbed)) == ["train", "prune", "distill", "quantize", "export-onnx", "export-tflite"]
    assert _hashes(disturbed) == _hashes(undisturbed)
    assert not (disturbed / "kill" / ".partial").exists()
