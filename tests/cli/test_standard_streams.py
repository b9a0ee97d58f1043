import os
import subprocess
import sys

import pytest

CODE = r"""
import os, sys
from pathlib import Path
from compress.cli.standard_streams import hold_standard_streams
hold_standard_streams()
print("said")
print("complained", file=sys.stderr)
Path(sys.argv[1]).write_text("\n".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)))
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_stream_is_the_null_device_and_the_others_are_left(tmp_path, closed):
    said = tmp_path / "said"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(said)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    streams = said.read_text().splitlines()
    for number in (1, 2):
        assert (streams[number] == os.devnull) == (number in closed)
    assert done.stdout == ("" if 1 in closed else "said\n")
    assert done.stderr == ("" if 2 in closed else "complained\n")


def test_a_command_without_streams_does_its_work():
    done = subprocess.run(
        [sys.executable, "-m", "compress", "--version"],
        preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)],
        check=False,
    )
    assert done.returncode == 0
