from __future__ import annotations

from pathlib import Path

from evals.serve import targets
from evals.serve.targets import DEADLINE_MS, FASTAPI_LIMIT, baseline_versions, baselines, ours


def test_our_cache_is_off_where_there_is_one(monkeypatch):
    monkeypatch.setattr(targets, "_help", lambda: "--port --cache-mib <int>")
    command = ours(Path("model.tflite"), workers=2).command
    assert command[command.index("--cache-mib") + 1] == "0"
    assert command[command.index("--timeout-ms") + 1] == str(DEADLINE_MS)
    assert command[command.index("--workers") + 1] == "2"
    monkeypatch.setattr(targets, "_help", lambda: "--port")
    assert "--cache-mib" not in ours(Path("model.tflite")).command


def test_the_help_is_that_of_our_own_command():
    assert "--timeout-ms" in targets._help()


def test_baselines_serve_the_same_file_from_their_own_environment():
    for baseline in baselines(Path("model.onnx"), Path("elsewhere")):
        assert baseline.command[0] == str(Path("elsewhere").absolute() / "bin" / "python")
        assert str(Path("model.onnx").absolute()) in (*baseline.command, *baseline.env.values())
        assert "{port}" in baseline.command
        assert not baseline.ours


def test_the_baseline_that_anybody_could_write_sheds_load_too():
    fastapi = baselines(Path("model.onnx"), Path("elsewhere"))[0]
    assert fastapi.command[-1] == str(FASTAPI_LIMIT)


def test_no_environment_has_no_versions(tmp_path):
    assert baseline_versions(tmp_path) == {}
