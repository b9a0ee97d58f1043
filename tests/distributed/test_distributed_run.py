"""Alone nothing happens; with others see tests/chain/test_torchrun.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from compress.distributed import distributed_run
from compress.errors import StageError


def test_alone_no_backend_is_imported_and_the_context_stays():
    code = (
        "import sys\n"
        "from compress.distributed.distributed_run import leading, shared\n"
        "context = object()\n"
        "with leading(), shared(None, {}, context) as own:\n"
        "    assert own is context\n"
        "assert 'torch' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def _terminate() -> None:
    with distributed_run._ended_by_torchrun():
        os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_from_torchrun_is_a_failure_that_says_how_to_go_on():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StageError, match="another process of this run ended") as failure:
        _terminate()
    assert "run --resume" in failure.value.hint
    assert signal.getsignal(signal.SIGTERM) is before
