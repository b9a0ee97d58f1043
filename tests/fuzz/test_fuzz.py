"""Damaged files: a few of each kind, and each that once broke something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compress.errors import ImgcError
from tests.fuzz.mutate import mutant
from tests.fuzz.outcome import outcome_of
from tests.fuzz.rounds import MOST_BYTES
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_damaged_files_are_accepted_or_refused(tmp_path: Path):
    """In a process of its own: it forks for each file, which a process with the threads of a test session cannot."""
    command = [sys.executable, "-m", "tests.fuzz", "--count", "60", "--found", str(tmp_path / "found")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert set(counts) == {*TARGETS, "corpus"}
    assert all("refused" in line and "unforeseen" not in line for line in counts.values()), counts


def test_the_same_seed_damages_alike():
    whole = bytes(range(256)) * 4
    first = [mutant(whole, seed) for seed in range(50)]
    assert first == [mutant(whole, seed) for seed in range(50)]
    assert len(set(first)) > 40
    assert sum(one == whole for one in first) < 5


def test_every_end_is_told_apart():
    def refuse() -> None:
        raise ImgcError("no")

    def hang() -> None:
        while True:
            pass

    def take() -> None:
        assert len(bytes(bytearray(1 << 20) * 64)) > 0

    def told(use, most_bytes: int = MOST_BYTES) -> str:
        return outcome_of(use, deadline_s=0.5 if use is hang else 60, most_bytes=most_bytes).kind

    def crash() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    ends = {"accepted": int, "refused": refuse, "unforeseen": lambda: 1 / 0, "crash": crash, "hang": hang}
    assert {kind: told(use) for kind, use in ends.items()} == {kind: kind for kind in ends}
    assert told(take, most_bytes=1 << 20) == "memory"
