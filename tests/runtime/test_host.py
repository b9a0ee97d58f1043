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
        "import sys, compress.runtime.host, compress.runtime.predictor\n"
        "heavy = {'torch', 'tensorflow', 'onnx', 'onnxruntime', 'ai_edge_litert', 'PIL'} & set(sys.modules)\n"
        "compress.runtime.host.host()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
