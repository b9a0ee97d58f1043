"""SIGKILL at any point: the next attempt ends with the same files as a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_runs import hashes, run
from toy_stages import EPOCHS

from compress.pipeline.lock import read_lock

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

CHAIN_FOLDER = Path(__file__).parents[1] / "chain"
LONG = [{"kind": "train", "epochs": 30}, {"kind": "prune"}]
QUICK = [{"kind": "train"}, {"kind": "prune"}]


def _start(folder: Path, stages, before: str = "") -> subprocess.Popen:
    code = (
        "import os, signal, json\nfrom pathlib import Path\nfrom toy_runs import run\n"
        "import compress.pipeline.runner as runner, compress.pipeline.run_dir as run_dir\n"
        "def die(*args, **options): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{before}\nrun(json.loads({json.dumps(stages)!r}), Path({str(folder)!r}))\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(CHAIN_FOLDER)})


def _undisturbed(tmp_path: Path, stages) -> dict[str, str]:
    return hashes(run(stages, tmp_path / "other"))


def test_killed_in_the_middle_of_a_stage(tmp_path, calls):
    in_epoch_3 = "import toy_stages\ntoy_stages.after_epoch = lambda epoch: epoch == 3 and die()"
    assert _start(tmp_path, LONG, in_epoch_3).wait(60) == -signal.SIGKILL
    (checkpoint,) = (tmp_path / "runs" / "demo" / ".partial").glob("01-train-*/checkpoint.json")
    epoch = json.loads(checkpoint.read_text())["epoch"]
    assert epoch == 3
    assert not (tmp_path / "runs" / "demo" / "01-train").exists()
    lock = read_lock(tmp_path / "runs" / "demo")
    assert lock is None or lock.stages == ()
    result = run(LONG, tmp_path)
    assert calls == ["train", "prune"]
    assert EPOCHS[0] == epoch, "it went on from the checkpoint"
    assert hashes(result) == _undisturbed(tmp_path, LONG)


@pytest.mark.parametrize(
    ("before", "executed"),
    [
        ("runner.write_seal = die", ["train", "prune"]),
        ("runner.put_in_place = die", ["prune"]),
        (
            "real = runner.write_lock\nrunner.write_lock = lambda d, lock: die() if lock.stages else real(d, lock)",
            ["prune"],
        ),
        ("run_dir.sync = die", ["prune"]),
    ],
    ids=["before the seal", "before the move", "before the lock", "just after the move"],
)
def test_killed_around_the_sealing(tmp_path, calls, before, executed):
    assert _start(tmp_path, QUICK, before).wait(60) == -signal.SIGKILL
    lock = read_lock(tmp_path / "runs" / "demo")
    assert lock is None or lock.stages == (), "nothing is recorded that was not sealed"
    result = run(QUICK, tmp_path)
    assert calls == executed
    assert hashes(result) == _undisturbed(tmp_path, QUICK)
    assert [stage.reused for stage in result.lock.stages] == [False, False]


def test_a_folder_without_a_seal_is_not_taken_for_whole(tmp_path, calls):
    done = run(QUICK, tmp_path)
    (done.run_dir / "01-train" / "seal.json").unlink()
    (done.run_dir / "run.lock.json").unlink()
    calls.clear()
    assert hashes(run(QUICK, tmp_path)) == hashes(done)
    assert calls == ["train"]
