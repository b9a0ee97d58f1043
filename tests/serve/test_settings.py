"""Four layers, the last wins; each mistake names its origin; the key is never shown."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.serve.config import ServeConfig
from compress.serve.settings import gather, settings_rows

MODELS = {"models": [{"path": "m.onnx"}]}


@pytest.fixture
def write(tmp_path):
    def write(text, name="serve.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.mark.parametrize(("in_file", "in_environment", "in_flags"), list(product([False, True], repeat=3)))
def test_the_last_layer_that_speaks_wins_and_is_named(write, in_file, in_environment, in_flags):
    file = write("port: 1001\n") if in_file else None
    environment = {"IMGC_SERVE_PORT": "1002"} if in_environment else {}
    flags = {**MODELS, "port": 1003 if in_flags else None}
    settings = gather(flags, file, environment)
    said = [("default", 8000)]
    said += (
        [(f"{file}:1", 1001)] * in_file + [("IMGC_SERVE_PORT", 1002)] * in_environment + [("--port", 1003)] * in_flags
    )
    assert (settings.origins["port"], settings.config.port) == said[-1]
    assert settings.origins["models"] == "argument"


def test_every_setting_has_an_origin_and_a_line():
    settings = gather(MODELS, None, {})
    assert set(settings.origins) == set(ServeConfig.model_fields) == {name for name, _, _ in settings_rows(settings)}


def test_a_setting_of_two_words_is_named_by_its_flag():
    assert gather({**MODELS, "cache_mib": 3}, None, {}).origins["cache_mib"] == "--cache-mib"


def test_yaml_and_toml_say_the_same(write):
    yaml = write("models:\n  a: one.onnx\n  b: /abs/two.tflite\ndegrade: small.tflite\ncache_mib: 0\n")
    toml = write(
        'degrade = "small.tflite"\ncache_mib = 0\n[models]\na = "one.onnx"\nb = "/abs/two.tflite"\n', "serve.TOML"
    )
    config = gather({}, yaml, {}).config
    assert config == gather({}, toml, {}).config
    here = yaml.parent
    assert [(one.name, one.path) for one in config.models] == [("a", here / "one.onnx"), ("b", Path("/abs/two.tflite"))]
    assert config.degrade == here / "small.tflite"


@pytest.mark.parametrize(
    "models",
    ["[one.onnx, b=two.onnx]", "[{path: one.onnx}, {name: b, path: two.onnx}]"],
)
def test_models_as_a_list_lie_beside_the_file(write, models):
    file = write(f"models: {models}\n")
    found = [(one.name, one.path) for one in gather({}, file, {}).config.models]
    assert found == [(None, file.parent / "one.onnx"), ("b", file.parent / "two.onnx")]


def test_lists_in_variables_have_commas_and_paths_of_the_working_folder():
    environment = {"IMGC_SERVE_MODELS": "a=x/one.onnx, two.onnx", "IMGC_SERVE_CORS_ORIGINS": "https://a.b,https://c.d,"}
    config = gather({}, None, environment).config
    assert [(one.name, one.path) for one in config.models] == [("a", Path("x/one.onnx")), (None, Path("two.onnx"))]
    assert config.cors_origins == ("https://a.b", "https://c.d")


def test_variables_that_are_none_of_ours_are_left_alone():
    environment = {
        "IMGC_SERVE_CREW": "/x",
        "IMGC_SERVE_CONFIG": "{}",
        "IMGC_CACHE": "/y",
        "PORT": "1",
        "SERVE_PORT": "2",
    }
    assert gather(MODELS, None, environment).config == gather(MODELS, None, {}).config


def test_the_process_own_environment_is_read(monkeypatch):
    monkeypatch.setenv("IMGC_SERVE_MAX_QUEUE", "7")
    assert gather(MODELS).config.max_queue == 7


@pytest.mark.parametrize(
    ("text", "environment", "flags", "origin"),
    [
        ("prot: 1\n", {}, {}, "serve.yaml:1"),
        ("", {"IMGC_SERVE_PROT": "1"}, {}, "IMGC_SERVE_PROT"),
        ("", {}, {"prot": 1}, "--prot"),
    ],
)
def test_an_unknown_setting_names_its_origin_and_the_nearest(write, text, environment, flags, origin):
    file = write(text) if text else None
    with pytest.raises(UsageError, match=f"{origin}: no setting is called 'prot'") as caught:
        gather({**MODELS, **flags}, file, environment)
    assert caught.value.hint == "did you mean port?"


def test_an_unknown_setting_near_to_none_points_to_the_list():
    with pytest.raises(UsageError, match="zzz") as caught:
        gather({**MODELS, "zzz": 1}, None, {})
    assert "--print-config" in caught.value.hint


def test_each_bad_value_names_its_own_origin(write):
    file = write("host: 0.0.0.0\n\nmax_queue: many\n")
    with pytest.raises(UsageError) as caught:
        gather({**MODELS, "cache_mib": -1}, file, {"IMGC_SERVE_PORT": "70000"})
    lines = caught.value.message.splitlines()
    assert len(lines) == 3
    for start, found in (
        (f"{file}:3: max_queue: ", "'many'"),
        ("IMGC_SERVE_PORT: port: ", "70000"),
        ("--cache-mib", "-1"),
    ):
        assert any(line.startswith(start) and found in line for line in lines), start


def test_what_only_the_whole_can_say_is_said():
    with pytest.raises(UsageError, match=r"^drain_ms needs workers: 1") as caught:
        gather({**MODELS, "drain_ms": 10, "workers": 2}, None, {})
    assert "found" not in caught.value.message


def test_without_a_model_the_settings_can_be_shown():
    rows = {name: (value, origin) for name, value, origin in settings_rows(gather({}, None, {}))}
    assert rows["models"] == ("none", "default")


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("{a: a.onnx, a b: b.onnx}", "models.1.name: a model's name is"),
        ("[{path: a.onnx, nmae: a}]", "models.0.nmae: Extra"),
    ],
)
def test_a_fault_within_a_setting_is_named_by_its_place(write, models, message):
    file = write(f"port: 1\nmodels: {models}\n")
    with pytest.raises(UsageError) as caught:
        gather({}, file, {})
    assert caught.value.message.startswith(f"{file}:2: {message}")


@pytest.mark.parametrize(
    ("text", "place", "key", "first"),
    [
        ("port: 1\nhost: a\nport: 1\n", "3:1", "port", "1:1"),
        ("models:\n  a: x.onnx\n  b: y.onnx\n  a: z.onnx\n", "4:3", "a", "2:3"),
        ("models:\n- {path: x, path: y}\n", "2:13", "path", "2:4"),
    ],
)
def test_a_key_given_twice_is_refused(write, text, place, key, first):
    file = write(text)
    with pytest.raises(UsageError) as caught:
        gather(MODELS, file, {})
    assert caught.value.message == f"{file}:{place}: duplicate key '{key}' (first at {file}:{first})"
    assert "remove one" in caught.value.hint


def test_a_key_given_twice_in_toml_is_refused_by_its_line(write):
    with pytest.raises(UsageError, match="line 2"):
        gather(MODELS, write("port = 1\nport = 2\n", "serve.toml"), {})


def test_what_yaml_silently_misreads_is_refused_with_its_place(write):
    for text, words in (
        ("port: 1\nrate_limit: 08\n", ":2:13: '08' looks like a number"),
        ("port: 0100\n", "octal 64"),
        ("on: 1\n", "a key must be text"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            gather(MODELS, write(text), {})
        assert caught.value.hint


def test_aliases_are_bounded(write):
    levels = [f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, 30)]
    with pytest.raises(UsageError, match="more than 32 levels or 20000 values"):
        gather(MODELS, write("\n".join(["x0: &x0 {a: 1}", *levels])), {})
    with pytest.raises(UsageError, match="more than 32 levels"):
        gather(MODELS, write("loop: &loop [*loop]\n"), {})


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("", "serve.yaml", "there is nothing in it"),
        ("# nothing\n", "serve.yaml", "there is nothing in it"),
        ("word\n", "serve.yaml", "need `setting: value` lines, found word"),
        ("- a\n", "serve.yaml", "found a list"),
        ("a: [\n", "serve.yaml", ":2:1: "),
        ("a = \n", "serve.toml", "line 1"),
        ("a: \x00\n", "serve.yaml", "special characters"),
        (b"host: caf\xe9\n", "serve.yaml", "not UTF-8"),
        (b"host = 'caf\xe9'\n", "serve.toml", "not UTF-8"),
        ("a: " + "[" * 20_000, "serve.yaml", "nested deeper than 32"),
        ("a = " + "[" * 20_000, "serve.toml", "nested too deeply"),
        (b" " * ((1 << 20) + 1), "serve.yaml", "larger than"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(write, text, name, words):
    file = write(text, name)
    with pytest.raises(UsageError) as caught:
        gather(MODELS, file, {})
    assert str(file) in caught.value.message
    assert words in caught.value.message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        gather(MODELS, tmp_path / "none.yaml", {})
    with pytest.raises(UsageError, match="no such file"):
        gather(MODELS, tmp_path, {})


def test_a_byte_order_mark_is_no_part_of_the_first_name(write):
    assert gather(MODELS, write("\ufeffport: 1234\n"), {}).config.port == 1234
    assert gather(MODELS, write("\ufeffport = 1234\n", "serve.toml"), {}).config.port == 1234


KEY = "s3cret-s3cret"


def test_the_key_is_not_shown(write):
    file = write(f"api_key: {KEY}\n")
    for settings in (gather(MODELS, file, {}), gather(MODELS, None, {"IMGC_SERVE_API_KEY": KEY})):
        assert settings.config.api_key.get_secret_value() == KEY
        assert KEY not in json.dumps(settings_rows(settings)) + repr(settings) + settings.config.model_dump_json()
        assert {name: value for name, value, _ in settings_rows(settings)}["api_key"] not in ("none", "")


@pytest.mark.parametrize(
    "text",
    [
        f"api_key: [{KEY}]\n",
        f'api_key: "{KEY}\n',
        f"api_kye: {KEY}\n",
        f"api_key: {{a: {KEY}}}\nport: x\n",
        f"api_key: !x {KEY}\n",
    ],
)
def test_nor_is_it_in_an_error(write, text):
    with pytest.raises(UsageError) as caught:
        gather(MODELS, write(text), {})
    assert KEY not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("key", ["12345e6", "012345", "1234:30", "123456.", "{012345: a}", "[a, {b: 012345}]"])
def test_a_key_that_reads_as_a_number_is_not_shown_either(write, key):
    file = write(f"port: 1\napi_key: {key}\n")
    with pytest.raises(UsageError) as caught:
        gather(MODELS, file, {})
    assert "2345" not in caught.value.message + caught.value.hint
    assert caught.value.message.startswith(f"{file}:2")


def test_what_is_shown_is_what_is_used():
    rows = {
        name: (value, origin)
        for name, value, origin in settings_rows(gather({"models": ["a=x.onnx", "y.onnx"]}, None, {}))
    }
    assert rows["models"] == ("a=x.onnx, y.onnx", "argument")
    assert rows["cors_origins"] == rows["api_key"] == rows["threads"] == ("none", "default")
    assert rows["log_requests"] == ("0.0", "default")
    assert rows["drain_ms"] == ("0", "default")
