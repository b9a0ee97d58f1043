"""What the machine is: everything that a measured number depends on. Light: asks no backend, imports none."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from compress.core.cores import usable_cores

FLAGS = ("sse4_2", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
DISTRIBUTIONS = (
    "imgc",
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
_VNNI = frozenset({"avx512_vnni", "avx_vnni"})


def host() -> dict[str, Any]:
    """Return JSON-able facts: cpu, flags, cores, load, os, python and library versions; no name of the machine.

    `cores` counts what this process may use (affinity and cgroup quota, rounded down, at least 1);
    `ort_x64quantprecision` says whether ONNX Runtime is asked for exact U8S8 sums (see `saturates_u8s8`).
    """
    return {
        "cpu": cpu_model(),
        "arch": platform.machine(),
        "flags": sorted(cpu_flags() & set(FLAGS)),
        "cores": usable_cores(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions(),
        "ort_x64quantprecision": saturates_u8s8(),
    }


def versions() -> dict[str, str]:
    """Return the version of each installed distribution that bears on results."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def saturates_u8s8() -> bool:
    """Tell whether this CPU's uint8 x int8 dot product saturates: x86 without VNNI adds pairs in 16 bits."""
    return platform.machine().lower() in {"x86_64", "amd64"} and not cpu_flags() & _VNNI


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
