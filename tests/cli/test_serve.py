"""`imgc serve`: which models and settings it means, said by --print-config; and what it hands to the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from compress.serve.config import MIB, ServeConfig

TRAIN = {"kind": "train", "arch": "tiny", "weights": "none"}
STAGES = [TRAIN, {"kind": "quantize"}, {"kind": "export", "format": "tflite"}]
KEY = "s3cret-s3cret"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def file(folder: Path) -> Path:
    path = Path("model.onnx")
    path.write_bytes(b"no model: only named")
    return path


@pytest.fixture
def settings(imgc: Callable[..., Result], file: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that asks for the settings as JSON."""

    def ask(*arguments: str | Path) -> dict[str, Any]:
        result = imgc("serve", "--print-config", "--json", *(arguments or (file,)))
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return ask


def test_every_setting_with_its_origin(settings: Callable[..., dict[str, Any]]) -> None:
    found = settings()
    assert set(found) == set(ServeConfig.model_fields)
    assert found["models"] == {"value": "model.onnx", "from": "argument"}
    assert found["port"] == {"value": "8000", "from": "default"}
    assert {one["from"] for name, one in found.items() if name != "models"} == {"default"}


def test_the_table_says_the_same(
    imgc: Callable[..., Result], file: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    result = imgc("serve", "--print-config", file, "--port", "9001")
    assert result.exit_code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines() if line.strip()}
    said = settings(file, "--port", "9001")
    assert {name: rows[name] for name in said} == {name: f"{one['value']} {one['from']}" for name, one in said.items()}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("serve.yaml", "port: 1001\nthreads: 3\ncache_mib: 4\n"),
        ("serve.toml", "port = 1001\nthreads = 3\ncache_mib = 4\n"),
    ],
)
def test_each_layer_wins_over_those_before_it(
    settings: Callable[..., dict[str, Any]], file: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    Path(name).write_text(text)
    monkeypatch.setenv("IMGC_SERVE_THREADS", "5")
    monkeypatch.setenv("IMGC_SERVE_CACHE_MIB", "6")
    found = settings(file, "--config", name, "--cache-mib", "7")
    assert found["port"] == {"value": "1001", "from": "serve.yaml:1" if name == "serve.yaml" else name}
    assert found["threads"] == {"value": "5", "from": "IMGC_SERVE_THREADS"}
    assert found["cache_mib"] == {"value": "7", "from": "--cache-mib"}
    assert found["host"]["from"] == "default"


FLAGS = {
    "host": ("--host", "0.0.0.0"),
    "port": ("--port", "81"),
    "workers": ("--workers", "2"),
    "threads": ("--threads", "3"),
    "timeout_ms": ("--timeout-ms", "500"),
    "max_queue": ("--max-queue", "9"),
    "max_batch": ("--max-batch", "4"),
    "cache_mib": ("--cache-mib", "0"),
    "degrade": ("--degrade", "small.tflite"),
    "memory_limit_mib": ("--memory-limit-mib", "512"),
    "drain_ms": ("--drain-ms", "0"),
    "rate_limit": ("--rate-limit", "2.5"),
    "log_requests": ("--log-requests", "0.5"),
}


def test_every_flag_reaches_its_setting(settings: Callable[..., dict[str, Any]], file: Path) -> None:
    found = settings(file, *(word for flag in FLAGS.values() for word in flag))
    assert {name: found[name] for name in FLAGS} == {
        name: {"value": value, "from": flag} for name, (flag, value) in FLAGS.items()
    }


def test_mebibytes_of_a_body_and_several_origins(settings: Callable[..., dict[str, Any]], file: Path) -> None:
    found = settings(file, "--max-body-mib", "2", "--cors-origin", "https://a.b", "--cors-origin", "https://c.d")
    assert found["max_body_bytes"]["value"] == str(2 * MIB)
    assert found["cors_origins"]["value"] == "https://a.b, https://c.d"


def test_models_with_names(settings: Callable[..., dict[str, Any]], file: Path) -> None:
    Path("x=y.onnx").touch()  # a file may be called so
    found = settings("a=model.onnx", "b=model.onnx", "x=y.onnx")
    assert found["models"]["value"] == "a=model.onnx, b=model.onnx, x=y.onnx"


def test_a_run_stands_for_its_best_model(
    settings: Callable[..., dict[str, Any]], make_run: Callable[..., Path], imgc: Callable[..., Result]
) -> None:
    best = {}
    for name in ("old", "new"):
        best[name] = str((make_run(name, STAGES) / "03-export" / "model.tflite").relative_to(Path.cwd()))
    assert settings("runs/old")["models"]["value"] == best["old"]
    assert settings("a=runs/old", "b=runs/latest")["models"]["value"] == f"a={best['old']}, b={best['new']}"
    assert settings("--run", "old")["models"]["value"] == best["old"]
    newest = imgc("serve", "--print-config", "--json")
    assert json.loads(newest.stdout)["models"] == {"value": best["new"], "from": "argument"}


def test_a_file_or_a_variable_that_names_the_models_needs_no_run(
    settings: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("conf").mkdir()
    Path("conf/serve.yaml").write_text("models:\n  a: model.onnx\n")
    assert settings("--config", "conf/serve.yaml")["models"] == {
        "value": "a=conf/model.onnx",
        "from": "conf/serve.yaml:1",
    }
    monkeypatch.setenv("IMGC_SERVE_MODELS", "b=model.onnx")
    assert settings("--port", "1")["models"] == {"value": "b=model.onnx", "from": "IMGC_SERVE_MODELS"}


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_without_any_model_the_settings_are_shown_and_nothing_is_served(
    imgc: Callable[..., Result], folder: Path, monkeypatch: pytest.MonkeyPatch, as_json: list[str]
) -> None:
    monkeypatch.setenv("IMGC_SERVE_API_KEY", KEY)
    result = imgc("serve", "--print-config", "--port", "9001", *as_json)
    assert result.exit_code == 0, result.output
    if as_json:
        found = json.loads(result.stdout)
        assert found["models"] == {"value": "none", "from": "default"}
        assert found["port"] == {"value": "9001", "from": "--port"}
    else:
        assert ["models", "none", "default"] in [line.split() for line in result.stdout.splitlines()]
    assert imgc("serve", "--print-config", "--run", "absent").exit_code == 2, "a run that is named must be there"
    Path("serve.yaml").write_text("port: 0\n")
    for arguments in ([], ["--config", "serve.yaml"]):
        result = imgc("serve", *arguments)
        assert result.exit_code == 2
        assert KEY not in result.output


MISTAKES = {
    "unknown in a file": ({}, "prot: 1\n", [], "serve.yaml:1: no setting is called 'prot'", "did you mean port?"),
    "unknown variable": ({"IMGC_SERVE_PROT": "1"}, "", [], "IMGC_SERVE_PROT: no setting is called", "port?"),
    "bad in a file": ({}, "port: high\n", [], "serve.yaml:1: port: ", "'high'"),
    "bad variable": ({"IMGC_SERVE_PORT": "70000"}, "", [], "IMGC_SERVE_PORT: port: ", "70000"),
    "bad flag": ({}, "", ["--cache-mib", "-1"], "--cache-mib: cache_mib: ", "-1"),
    "the last one is bad": ({"IMGC_SERVE_PORT": "1"}, "port: 2\n", ["--port", "70000"], "--port: port: ", "70000"),
    "no such file": ({}, "", ["absent.onnx"], "absent.onnx: no such file", ""),
    "no such run": ({}, "", ["--run", "none"], "there is no run 'none'", ""),
    "no model by its name": ({}, "", ["x=model.pkl"], "model.pkl", ".tflite"),
    "a bad name": ({}, "", ["a b=model.onnx"], "argument: models.0.name: ", "a b"),
    "two of one name": ({}, "", ["a=model.onnx", "a=model.onnx"], "two models are called a", ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_by_its_origin(
    imgc: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variables, text, arguments, *words = MISTAKES[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if text:
        Path("serve.yaml").write_text(text)
        arguments = [*arguments, "--config", "serve.yaml"]
    models = [] if any(".onnx" in one or ".pkl" in one or one == "--run" for one in arguments) else [str(file)]
    result = imgc("serve", "--print-config", *models, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("port", ["8000", "70000"])
def test_the_key_is_never_shown(
    imgc: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch, as_json: list[str], port: str
) -> None:
    monkeypatch.setenv("IMGC_SERVE_API_KEY", KEY)
    result = imgc("serve", "--print-config", file, "--port", port, *as_json)
    assert result.exit_code == (0 if port == "8000" else 2)
    assert KEY not in result.output
    if result.exit_code == 0:
        assert "IMGC_SERVE_API_KEY" in result.stdout


def test_what_is_printed_is_what_is_served(
    imgc: Callable[..., Result], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[ServeConfig] = []
    monkeypatch.setattr("compress.serve.run.serve", lambda config, **_: served.append(config))
    monkeypatch.setenv("IMGC_SERVE_API_KEY", KEY)
    assert imgc("serve", f"a={file}", "--port", "0", "--print-config").exit_code == 0
    assert served == [], "it only shows"
    assert imgc("serve", f"a={file}", "--port", "0").exit_code == 0
    (config,) = served
    assert ([(one.name, one.path) for one in config.models], config.port) == ([("a", file)], 0)
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == KEY
