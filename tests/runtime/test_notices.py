from __future__ import annotations

import os
import subprocess
import sys

import pytest

from compress.runtime.notices import without_notices


def test_notices_are_dropped_and_the_rest_is_passed_on(capfd):
    with without_notices():
        os.write(2, b"INFO: Created a delegate\nERROR: no such file\nours\n")
    os.write(2, b"INFO: behind it\n")
    assert capfd.readouterr().err == "ERROR: no such file\nours\nINFO: behind it\n"


def test_a_failure_inside_gives_the_stream_back(capfd):
    def fail() -> None:
        with without_notices():
            os.write(2, b"before\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_a_closed_standard_error_is_no_fault():
    code = (
        "import os; os.close(2)\n"
        "from compress.runtime.notices import without_notices\n"
        "with without_notices(): print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")
