"""`imgc benchmark` of a run; and the spellings of its commands before they had names."""

from __future__ import annotations

import pytest

from compress.cli.benchmark import app, command_meant

COMMANDS = [command.name for command in app.registered_commands]


def test_its_commands():
    assert COMMANDS == ["files", "bundle", "compare", "scenarios"]


@pytest.mark.parametrize(
    ("old", "command"),
    [
        ("x.onnx y.tflite --data d", "files"),
        ("--threads 1,2 --json x.onnx", "files"),
        ("--threads=1,2 --profile x.onnx --out b.json", "files"),
        ("timm:resnet18", "files"),
        ("b --out bench.json", "bundle"),
        (". --batch 2", "bundle"),
        ("--compare a.json b.json --fail-on top1_pct:-1", "compare"),
        ("--fail-on top1_pct:-1 --compare a.json b.json", "compare"),
        ("x.onnx --scenario all", "scenarios"),
        ("--scenario=server --url http://pi:8000", "scenarios"),
        ("", None),
        ("--run r --threads 2 --json", None),
        ("--set models=[a] --repeats 5", None),
        ("--help x.onnx", None),
        ("files x.onnx", None),
        ("compare a b", None),
        ("--run r files x.onnx", None),
    ],
)
def test_what_an_old_spelling_means(folder, old, command):
    (folder / "b").mkdir()
    assert command_meant(old.split(), COMMANDS) == command


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (["x.onnx", "--batch", "2"], "files x.onnx --batch 2", "no such model file"),
        (["b", "--out", "o.json"], "bundle b --out o.json", "is no bundle"),
        (["--compare", "a", "b", "--json"], "compare a b --json", "a: cannot be read"),
        (["x.onnx", "--scenario", "offline"], "scenarios x.onnx --scenario offline", "no such file"),
    ],
)
def test_an_old_spelling_is_carried_out_and_the_new_one_is_named(imgc, folder, old, new, said):
    (folder / "b").mkdir()
    result = imgc("benchmark", *old)
    first, *rest = result.stderr.splitlines()
    assert first.endswith(f"benchmark {new}")
    assert first.startswith("hint: old spelling")
    assert said in "\n".join(rest)
    assert result.stdout == ""
    again = imgc("bench", *new.split())
    assert (again.exit_code, again.stderr.splitlines()) == (result.exit_code, rest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("files", "x.onnx", "--p99-ms", "4"), "No such option: --p99-ms"),
        (("--url", "http://127.0.0.1:1"), "No such option: --url"),
        (("--out", "b.json"), "No such option: --out"),
        (("compare", "a", "b", "--data", "x"), "No such option: --data"),
        (("files", "x.onnx", "--run", "r"), "No such option: --run"),
        (("compare", "a", "b", "c.onnx"), "unexpected extra argument"),
        (("bundle", "b", "x.onnx"), "unexpected extra argument"),
        (("--run", "r", "files", "x.onnx"), "--run before `files` is about a run"),
        (("--threads", "2", "compare", "a", "b"), "--threads before `compare` is about a run"),
        (("--threads", "1,2"), "should be a valid integer"),
        (("files", "x.onnx", "--repeats", "4"), "--repeats 4: should be greater than or equal to 5"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(imgc, folder, arguments, said):
    result = imgc("benchmark", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("text", ["0", "1,,2", "two", "1,300", "-1"])
def test_numbers_are_checked(imgc, folder, text):
    result = imgc("benchmark", "files", "x.onnx", f"--batch={text}")
    assert result.exit_code == 2
    assert f"--batch {text}: give numbers from 1 to 256" in result.stderr
