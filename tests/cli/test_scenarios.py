from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from compress.benchmark.schema import Bench
from compress.benchmark.server import PeakSearch
from compress.benchmark.server_process import family, free_port
from tests.benchmark.tiny_server import SOURCE, start_tiny
from tests.colours import colours_file, jpeg
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path):
    return colours_file(tmp_path / "model.onnx")


@pytest.mark.slow
def test_all_scenarios_of_a_model_from_the_command_line_to_the_file(imgc, model, tmp_path, monkeypatch):
    monkeypatch.setattr("compress.benchmark.scenarios.PeakSearch", partial(PeakSearch, max_probes=3))
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        (tmp_path / "photos" / f"{seed}.jpg").write_bytes(jpeg(seed=seed))
    out = tmp_path / "bench.json"
    result = imgc(
        *(
            "benchmark",
            "scenarios",
            model,
            "--scenario",
            "all",
            "--seconds",
            "0.3",
            "--data",
            tmp_path / "photos",
            "--out",
            out,
        ),
        *("--p99-ms", "500", "--json"),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads(out.read_text())
    bench = Bench.model_validate_json(out.read_text())
    kinds = [(one.scenario, one.cache) for one in bench.scenarios]
    assert kinds == [("single-stream", None), ("offline", None), *(("server", c) for c in ("off", "cold", "hot"))]
    assert bench.scenarios[0].latency_p90_ms > 0
    assert bench.scenarios[1].throughput_ips > 0
    assert all(one.probes and one.limited_by and one.n for one in bench.scenarios[2:])
    assert (bench.rows, bench.scenarios[0].images) == ((), 3)


def test_without_images_images_are_generated_and_it_is_said(imgc, model):
    result = imgc("benchmark", "scenarios", model, "--scenario", "single-stream", "--seconds", "0.1")
    assert result.exit_code == 0, result.output
    assert "asking about 64 generated images" in result.stderr
    assert "single-stream" in result.stdout
    assert "not a submission" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["model.onnx", "--scenario", "fastest"], 2, "single-stream, offline, server, all"),
        (["--scenario", "offline"], 2, "needs one model file"),
        (["a.onnx", "b.onnx", "--scenario", "offline"], 2, "unexpected extra argument"),
        (["nothing.onnx", "--scenario", "offline"], 2, "no such file"),
        (["model.safetensors", "--scenario", "server"], 2, "cannot be served"),
        (["--scenario", "server", "--url", "https://pi"], 2, "not an address"),
        (["--scenario", "server", "--url", f"http://127.0.0.1:{free_port()}"], 4, "gave no answer"),
        (["model.onnx", "--scenario", "offline", "--url", "http://pi"], 2, "asks no server"),
        (["model.onnx", "--scenario", "offline", "--data", "empty"], 2, "no images"),
    ],
)
def test_bad_input(imgc, folder, words, code, said):
    colours_file(folder / "model.onnx")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "empty").mkdir()
    result = imgc("benchmark", "scenarios", *words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_server_that_refuses_is_an_error(imgc):
    with start_tiny(SOURCE.replace("self.answer(200, b'{", "self.answer(401, b'{")) as server:
        result = imgc("benchmark", "scenarios", "--scenario", "server", "--url", f"http://127.0.0.1:{server.port}")
    assert result.exit_code == 4
    assert "answered 401" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_the_load_too(model, number):
    imgc = [sys.executable, "-m", "compress", "benchmark", "scenarios"]
    command = [*imgc, str(model), "--scenario", "server", "--seconds", "60"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    members = until(lambda: members if len(members := family(process.pid)) >= 3 else None)  # a server and a load
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "interrupted" in said
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in members))  # one just begun ends with its input
