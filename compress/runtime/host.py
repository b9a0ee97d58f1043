"""What the machine is: everything that a measured number depends on. Light: asks no backend, imports none."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from compress.core.cores import cgroup_quota, usable_cores
from compress.package import VERSION

FLAGS = ("sse4_2", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
DISTRIBUTIONS = (
    "numpy",
    "pillow",
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
    "tensorflow",
)
_ROOT = Path("/")
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


def host() -> dict[str, Any]:
    """Return JSON-able facts: cpu, flags, cores, load, os, python and library versions; no name of the machine.

    `cores` counts what this process may use (affinity and cgroup quota, rounded down, at least 1);
    `affinity` lists the cores that the scheduler may choose; `quota_cores` is the cgroup's CPU quota, not rounded.
    `governor`, `frequency_mhz` (of the first core, now) and `throttled` (a Raspberry Pi's word on heat and voltage,
    0 is well) are None where the system does not tell them.
    `ort_x64quantprecision` says whether ONNX Runtime is asked for exact U8S8 sums (see `saturates_u8s8`).
    """
    return {
        "cpu": cpu_model(),
        "arch": platform.machine(),
        "flags": sorted(cpu_flags() & set(FLAGS)),
        "cores": usable_cores(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "quota_cores": cgroup_quota(),
        "governor": _text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "frequency_mhz": frequency_mhz(),
        "memory_bytes": memory_bytes(),
        "throttled": throttled(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions(),
        "ort_x64quantprecision": saturates_u8s8(),
    }


def versions() -> dict[str, str]:
    """Return the version of ours and of each installed distribution that bears on results."""
    found = {"imgc": VERSION}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def saturates_u8s8() -> bool:
    """Tell whether this CPU's uint8 x int8 dot product saturates: x86 without VNNI adds pairs in 16 bits."""
    return platform.machine().lower() in {"x86_64", "amd64"} and not cpu_flags() & _VNNI


def frequency_mhz() -> float | None:
    """Return the first core's frequency now, in MHz; None where the system does not tell."""
    if text := _text("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"):
        return int(text) / 1000  # kHz
    known = _cpuinfo().get("cpu MHz")
    return float(known) if known else None


def memory_bytes() -> int | None:
    """Return the machine's memory in bytes; None where the system does not tell."""
    for line in (_text("proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def throttled() -> int | None:
    """Return the bits of a Raspberry Pi's `vcgencmd get_throttled`, from the kernel's file; None elsewhere."""
    text = _text("sys/devices/platform/soc/soc:firmware/get_throttled")
    return int(text, 16) if text else None


def _text(name: str) -> str | None:
    try:
        return (_ROOT / name).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def cpu_model() -> str:
    """Return the CPU's name as the kernel gives it."""
    for key in ("model name", "Model", "Hardware"):
        if name := _cpuinfo().get(key):
            return name
    return platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags in lower case; empty where the kernel does not list them."""
    text = _cpuinfo().get("flags") or _cpuinfo().get("Features") or ""
    return frozenset(text.lower().split())


@cache
def _cpuinfo() -> dict[str, str]:
    """Return the first value of every key in /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found
