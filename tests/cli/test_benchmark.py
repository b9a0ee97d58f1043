"""`imgc benchmark` of a run, of files, of a bundle, or of two measurements: each takes its own options only."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.onnx", "--p99-ms", "4"), "--p99-ms does not go with files; it belongs to --scenario"),
        (("--url", "http://127.0.0.1:1"), "--url does not go with a run; it belongs to --scenario"),
        (("--out", "b.json"), "--out does not go with a run; it belongs to --scenario or a bundle or files"),
        (("--compare", "a", "b", "--data", "x"), "--data does not go with --compare"),
        (("--fail-on", "top1_pct:-1"), "--fail-on does not go with a run; it belongs to --compare"),
        (("x.onnx", "--run", "r"), "--run does not go with files; it belongs to a run"),
        (("x.onnx", "--scenario", "all", "--profile"), "--profile does not go with --scenario; it belongs to files"),
        (("--compare", "a", "b", "c.onnx"), "models does not go with --compare"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(imgc, folder, arguments, said):
    result = imgc("benchmark", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "hint: imgc benchmark" in result.stderr


@pytest.mark.parametrize("text", ["0", "1,,2", "two", "1,300", "-1"])
def test_numbers_are_checked(imgc, folder, text):
    result = imgc("benchmark", "x.onnx", f"--batch={text}")
    assert result.exit_code == 2
    assert f"--batch {text}: give numbers from 1 to 256" in result.stderr


def test_a_run_is_measured_with_one_number_of_threads(imgc, folder):
    result = imgc("benchmark", "--threads", "1,2")
    assert result.exit_code == 2
    assert "--threads 1,2: several are for files" in result.stderr


def test_a_folder_is_measured_alone(imgc, folder):
    (folder / "b").mkdir()
    result = imgc("benchmark", "b", "x.onnx")
    assert result.exit_code == 2
    assert "x.onnx: a folder is measured alone" in result.stderr


def test_a_bundle_takes_no_data(imgc, folder):
    (folder / "b").mkdir()
    result = imgc("benchmark", "b", "--data", "x")
    assert result.exit_code == 2
    assert "--data does not go with a bundle" in result.stderr
