import os
import subprocess
import sys

import pytest

# Faults of allocating, touching and freeing 64 MB thirty times, without and with the setting.
COUNT_FAULTS = """
import resource, sys, torch
from compress.engine.allocator import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "keep" else None)
for _ in range(20):
    torch.ones(16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.ones(16 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(mode: str) -> tuple[str, int]:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, mode], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    said, faults = ran.stdout.split()
    return said, int(faults)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_used_again_without_page_faults():
    said, kept = _faults("keep")
    _, returned = _faults("default")
    assert said == "True"
    assert kept < returned / 10
