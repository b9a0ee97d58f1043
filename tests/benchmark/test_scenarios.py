from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from compress.benchmark import scenarios
from compress.benchmark.http_client import LOCAL, Address
from compress.benchmark.scenarios import ScenarioRequest, check, measure_scenarios, shared_cores
from compress.core.stage import SilentReporter
from compress.errors import StageError, UsageError

HERE = Address(LOCAL, 1)


def test_what_cannot_be_measured_is_refused_first():
    with pytest.raises(UsageError, match="one model file"):
        check(("offline",), None, None)
    with pytest.raises(UsageError, match="one model file"):
        check(("server",), None, None)
    with pytest.raises(UsageError, match="cannot be served") as error:
        check(("single-stream", "offline", "server"), Path("m.safetensors"), None)
    assert "imgc export" in error.value.hint
    check(("single-stream", "offline"), Path("m.safetensors"), None)
    check(("server",), None, HERE)
    check(("server",), Path("m.onnx"), None)


def test_server_and_load_share_the_cores(monkeypatch):
    for cores, expected in (({3}, ({3}, {3})), ({0, 1}, ({0}, {1})), (set(range(8)), (set(range(6)), {6, 7}))):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        assert shared_cores() == expected


def test_a_running_server_is_asked_cold_and_hot_and_our_own_without_cache_too(monkeypatch):
    commands = []

    class Server:
        port = 1

        def __init__(self, command, **_):
            commands.append(command)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(scenarios, "ServerProcess", Server)
    monkeypatch.setattr(scenarios, "_search", lambda address, asked, cache, model, reporter: (cache, model))
    asked = ScenarioRequest(("server",), [b""], 1, 2000, 1)
    assert measure_scenarios(None, HERE, asked, SilentReporter()) == (("cold", str(HERE)), ("hot", str(HERE)))
    assert not commands
    found = measure_scenarios(Path("m.onnx"), None, asked, SilentReporter())
    assert found == (("off", "m.onnx"), ("cold", "m.onnx"), ("hot", "m.onnx"))
    assert ["--cache-mib" in command for command in commands] == [True, False, False]
    assert all(command[command.index("--timeout-ms") + 1] == "2000" for command in commands)


def test_a_server_that_does_not_start_says_why(tmp_path):
    broken = tmp_path / "m.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(StageError, match=r"exit code 4.*not a readable ONNX model"):
        measure_scenarios(broken, None, ScenarioRequest(("server",), [b""], 1, 100, 1), SilentReporter())


def test_sigterm_ends_a_measurement_as_ctrl_c_does(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(scenarios, "_search", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        measure_scenarios(None, HERE, ScenarioRequest(("server",), [b""], 1, 100, 1), SilentReporter())
    assert signal.getsignal(signal.SIGTERM) == before
