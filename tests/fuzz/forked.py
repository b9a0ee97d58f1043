"""A trial in a forked process, for a new one takes half a second each time: the same code, and the same ways to end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from compress.runtime import trial
from tests.fuzz.outcome import ended


def trial_in_a_fork(path: Path, purpose: trial.Purpose, deadline_s: float) -> subprocess.CompletedProcess[bytes]:
    """Stand for `trial._in_new_process`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _be_the_trial(path, purpose, out.fileno(), err.fileno())
        status, _ = ended(pid, deadline_s)
        if status is None:
            raise subprocess.TimeoutExpired(str(path), deadline_s)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess([], code, out.read(), err.read())


def _be_the_trial(path: Path, purpose: trial.Purpose, out: int, err: int) -> None:
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
            code = trial._main(str(path), purpose)
    finally:
        os._exit(code)
