"""What the machine is: JSON-able, without its name, and right about VNNI and quotas."""

from __future__ import annotations

import json
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from compress.runtime import host as module


def test_host_is_json_without_nan_and_without_the_machine_s_name() -> None:
    text = json.dumps(module.host(), allow_nan=False)
    assert json.loads(text)["cores"] >= 1
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text


def test_versions_are_the_installed_ones() -> None:
    import onnxruntime

    found = module.versions()
    assert found["onnxruntime"] == onnxruntime.__version__
    assert "torch" in found


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", {"avx2"}, True),
        ("x86_64", {"avx2", "avx512f"}, True),
        ("AMD64", {"avx2"}, True),
        ("x86_64", {"avx2", "avx_vnni"}, False),
        ("x86_64", {"avx512f", "avx512_vnni"}, False),
        ("aarch64", {"asimd"}, False),
    ],
)
def test_only_x86_without_vnni_saturates(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: set[str], saturates: bool
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(module, "cpu_flags", lambda: frozenset(flags))
    assert module.saturates_u8s8() is saturates


def test_importing_the_light_modules_loads_no_backend() -> None:
    code = (
        "import sys, compress.runtime.host, compress.runtime.open\n"
        "heavy = {'torch', 'tensorflow', 'onnx', 'onnxruntime', 'ai_edge_litert', 'PIL'} & set(sys.modules)\n"
        "compress.runtime.host.host()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_governor_frequency_memory_and_throttling_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
        "proc/meminfo": "MemTotal:        1000 kB\nMemFree:  1 kB\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    found = module.host()
    assert (found["governor"], found["frequency_mhz"], found["memory_bytes"]) == ("powersave", 1500.0, 1_024_000)
    assert found["throttled"] == 0x50005
    assert len(found["affinity"]) >= found["cores"]


def test_a_system_that_tells_nothing_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "_cpuinfo", dict)
    found = module.host()
    assert [found[name] for name in ("governor", "frequency_mhz", "memory_bytes", "throttled")] == [None] * 4
