from __future__ import annotations

from pathlib import Path

from compress.report import serve_targets
from compress.report.serve_targets import DEADLINE_MS, ours, rival_versions, rivals


def test_our_cache_is_off_where_there_is_one(monkeypatch):
    monkeypatch.setattr(serve_targets, "_help", lambda: "--port --cache-mib <int>")
    command = ours(Path("model.tflite"), workers=2).command
    assert command[command.index("--cache-mib") + 1] == "0"
    assert command[command.index("--timeout-ms") + 1] == str(DEADLINE_MS)
    assert command[command.index("--workers") + 1] == "2"
    monkeypatch.setattr(serve_targets, "_help", lambda: "--port")
    assert "--cache-mib" not in ours(Path("model.tflite")).command


def test_the_help_is_that_of_our_own_command():
    assert "--timeout-ms" in serve_targets._help()


def test_rivals_serve_the_same_file_from_their_own_environment():
    for rival in rivals(Path("model.onnx"), Path("elsewhere")):
        assert rival.command[0] == str(Path("elsewhere").absolute() / "bin" / "python")
        assert str(Path("model.onnx").absolute()) in (*rival.command, *rival.env.values())
        assert "{port}" in rival.command
        assert not rival.ours


def test_no_environment_has_no_versions(tmp_path):
    assert rival_versions(tmp_path) == {}
