"""The memory alarm's marks, and where its numbers come from."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.serve.core import memory as module
from compress.serve.core.memory import HARD, SOFT, MemoryAlarm, Pressure, cgroup_limit_bytes, resident_bytes


def test_it_rises_at_the_marks_and_falls_clearly_below_them():
    alarm = MemoryAlarm(100)
    seen = [(79, "NONE"), (80, "SOFT"), (92, "HARD"), (88, "HARD"), (86, "SOFT"), (76, "SOFT"), (74, "NONE")]
    assert [(used, alarm.see(used).name) for used, _ in seen] == seen


def test_it_falls_from_the_top_to_the_bottom_in_one_step():
    alarm = MemoryAlarm(100, Pressure.HARD)
    assert alarm.see(10) is Pressure.NONE


def test_no_limit_no_alarm():
    alarm = MemoryAlarm(None)
    assert alarm.see(1 << 50) is alarm.pressure is Pressure.NONE


@given(st.lists(st.integers(0, 120), min_size=1))
def test_it_never_says_less_than_the_use_and_never_more_than_was_seen(uses):
    alarm, most = MemoryAlarm(100), 0
    for used in uses:
        most = max(most, used)
        pressure = alarm.see(used)
        assert pressure >= (used >= 100 * SOFT) + (used >= 100 * HARD)
        assert pressure <= (most >= 100 * SOFT) + (most >= 100 * HARD)


def test_this_process_takes_memory():
    assert 1 << 20 < resident_bytes() < 1 << 40


@pytest.mark.parametrize(
    ("v2", "v1", "limit"),
    [
        ("1048576\n", None, 1 << 20),
        ("max\n", None, None),
        (None, "2097152\n", 2 << 20),
        (None, "9223372036854771712\n", None),  # how v1 says "none"
        (None, None, None),
        ("max\n", "2097152\n", 2 << 20),
    ],
)
def test_the_containers_limit(tmp_path, monkeypatch, v2, v1, limit):
    files = [tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"]
    for file, text in zip(files, (v2, v1), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(module, "_CGROUP_FILES", tuple(map(str, files)))
    assert cgroup_limit_bytes() == limit


KEEPS = """
import ctypes, sys
from compress.serve.core.memory import keep_no_large_blocks, resident_bytes
if sys.argv[1] == "told":
    assert keep_no_large_blocks(4 << 20)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.free(libc.malloc(30 << 20))  # from here on, blocks of this size are kept
blocks = [libc.malloc(20 << 20) for _ in range(4)]
for block in blocks:
    ctypes.memset(block, 1, 20 << 20)
guard = libc.malloc(1024)
before = resident_bytes()
for block in blocks[:-1]:
    libc.free(ctypes.c_void_p(block))
print(before - resident_bytes() >> 20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc keeps what was freed")
def test_large_blocks_are_given_back_when_they_are_freed():
    freed_mib = {
        told: int(
            subprocess.run([sys.executable, "-c", KEEPS, told], capture_output=True, check=True, text=True).stdout
        )
        for told in ("untold", "told")
    }
    assert freed_mib["told"] >= 59
    assert freed_mib["untold"] < 59, "otherwise there is nothing to tell it"
