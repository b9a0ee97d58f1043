"""`imgc tune`: what is refused before anything is trained; and one whole search, its end, and going on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from compress.tune import outcome, search, trial
from compress.tune.footprint import Footprint
from compress.tune.task import TASKS
from tests.detector_files import write_boxes
from tests.tune.finished_chain import box_row, finished

SEARCH = ("--arch", "tiny", "--weights", "none", "--epochs", "1", "--name", "s", "--budget", "1h")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-size", "1 apple"), "--max-size 1 apple: not a size"),
        (("--max-size", "0"), "--max-size 0: not a size"),
        (("--budget", "soon"), "--budget soon: not a time"),
        (("--budget", "0s"), "--budget 0s: not a time"),
        (("--runtime", "coreml"), "give tflite or onnx"),
        (("--device", "toaster"), "no such device or file; there are"),
        (("--device", "pixel-2", "--runtime", "onnx"), "Pixel 2 runs tflite"),
        (("--arch", "resnet50"), "--arch resnet50: unknown"),
        (("--arch", "ssdlite_mobilenetv2"), "finds boxes, and these images have classes"),
        (("--weights", "gone.safetensors"), "--weights gone.safetensors: no such .safetensors file"),
        (("--weights", "none", "--weights", "imagenet"), "stands alone"),
        (("--name", "x" * 25), "at most 24 characters"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(imgc, folder, photos, arguments, said):
    result = imgc("tune", "--data", photos, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert list(folder.iterdir()) == []


def test_sizes_and_times_are_read():
    from compress.cli.tune import _bytes, _seconds

    assert [_bytes(text) for text in ("1MB", "1MiB", "900KB", "1.5kb", "12")] == [10**6, 2**20, 900_000, 1500, 12]
    assert [_seconds(text) for text in ("90s", "30m", "2h", "0.5h")] == [90, 1800, 7200, 1800]


@pytest.fixture
def short_chains(one_fresh_process, monkeypatch):
    """Let the search use the smallest images and few steps of quantization: how good models are does not matter."""
    monkeypatch.setitem(TASKS, "classify", replace(TASKS["classify"], start_px=min(TASKS["classify"].sides_px)))
    monkeypatch.setattr("compress.tune.space._RECONSTRUCT_STEPS", 3)


@pytest.mark.slow
@pytest.mark.usefixtures("short_chains")
def test_a_search_ends_with_a_tested_model_and_goes_on_without_testing_it_again(imgc, folder, photos):
    result = imgc("tune", "--data", photos, *SEARCH, "--trials", "1", "--max-size", "200KB", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((folder / "runs/s-tune/tune.json").read_text())
    (tried,) = report["tried"]
    assert tried["point"]["size_bytes"] <= 200_000
    assert 0 < tried["share"] < 1
    assert tried["pareto"]
    assert report["test"]["n_images"] == 12
    assert report["chosen"] == tried["point"]["name"]
    assert Path(report["file"]).stat().st_size == tried["point"]["size_bytes"]
    recipe = (folder / "runs/s-tune/recipe.yaml").read_text()
    assert recipe.startswith("# Chosen by `imgc tune` for: max_size_bytes 200000")
    assert "split: test" in recipe
    bench = folder / "runs/s/06-benchmark/bench.json"
    tested = bench.stat().st_mtime_ns
    again = imgc("tune", "--data", photos, *SEARCH, "--trials", "1", "--max-size", "200KB")
    assert again.exit_code == 0, again.stderr
    assert "on the test images (n = 12, asked once)" in again.stdout
    assert "model: runs/s/05-final/" in again.stdout
    assert bench.stat().st_mtime_ns == tested
    assert len(list((folder / "runs").glob("s-tiny-*-*"))) == 1, "nothing was tried again"
    _impossible_limits_name_what_would_have_to_give(imgc, photos, report)


def _impossible_limits_name_what_would_have_to_give(imgc, photos: Path, report) -> None:
    limits = ("--max-latency-ms", "0.01", "--max-drop-pp", "100")
    result = imgc("tune", "--data", photos, *SEARCH, "--trials", "1", *limits, "--json")
    assert result.exit_code == 5
    ended = json.loads(result.stdout)
    assert ended["chosen"] is None
    assert ended["test"] is None
    (way,) = ended["ways_out"]
    assert way["limit"] == "max_latency_ms"
    assert way["needed"] == report["tried"][0]["point"]["latency_ms"]
    assert "none of 1 models is within the goal; the nearest is" in result.stderr
    assert "what would have to give" in result.stderr


def test_no_time_at_all_says_how_to_go_on(imgc, folder, photos):
    result = imgc("tune", "--data", photos, "--arch", "tiny", "--weights", "none", "--name", "s", "--budget", "0.001s")
    assert result.exit_code == 5
    assert "nothing was tried to the end" in result.stderr
    assert "--budget" in result.stderr


@pytest.fixture
def chains_of_detectors(folder, monkeypatch):
    """Let a chain take no time: the larger its images the better it finds, 10 points less on the test images."""

    def carry_out(recipe, context, watch):
        side, test = recipe["stages"][0]["input_px"], recipe["stages"][-1]["split"] == "test"
        found = side / 8 + 20 - 10 * test
        figures = {"map_pct": found, "map_ci95_pct": (found - 4, found + 4), "map_drop_pp": 1.0, "n_images": 4}
        made.append(recipe)
        return finished(
            folder / "runs" / recipe["name"], box_row("final", **figures), box_row("train", map_pct=found + 1)
        )

    made: list[dict] = []
    monkeypatch.setattr(trial, "carry_out", carry_out)
    monkeypatch.setattr(outcome, "carry_out", carry_out)
    weight = {
        "params": 2_000_000,
        "left_params": 10**6,
        "size_bytes": 1_100_000,
        "latency_ms": 1.0,
        "memory_bytes": None,
    }
    monkeypatch.setattr(search, "measure_footprint", lambda _, px, *__: Footprint(input_px=px, step_s=1.0, **weight))
    write_boxes(folder / "parts")
    return made


def test_images_with_boxes_are_searched_by_map_and_the_same_name_goes_on(imgc, folder, chains_of_detectors):
    options = ("--data", "parts", "--arch", "ssdlite_mobilenet_v3_small", "--weights", "none", "--max-size", "1.5MB")
    result = imgc("tune", *options, "--trials", "1", "--runtime", "onnx")
    assert result.exit_code == 0, result.stderr
    assert "mAP %" in result.stdout
    assert "on the test images (n = 4, asked once): mAP 50.00 % (46.0-54.0), its float" in result.stdout.replace(
        "\n", " "
    )
    assert "top-1" not in result.stdout
    again = imgc("tune", *options, "--trials", "2", "--runtime", "onnx", "--json")
    report = json.loads(again.stdout)
    assert report == json.loads((folder / "runs/parts-tune/tune.json").read_text())
    assert report["task"] == "detect"
    assert [(one["knobs"]["input_px"], one["point"]["map_pct"]) for one in report["tried"]] == [
        (320, 60.0),
        (384, 68.0),
    ]
    assert (report["test"]["map_pct"], report["test"]["top1_pct"]) == (58.0, None)
    assert [one["stages"][-1]["split"] for one in chains_of_detectors] == ["val", "test", "val", "test"]
    recipe = chains_of_detectors[0]
    assert recipe["data"] == {"kind": "coco", "path": str(folder / "parts")}
    assert [stage["kind"] for stage in recipe["stages"]][1:3] == ["prune", "distill"]
    assert recipe["stages"][0]["fit"]["epochs"] == 70


def test_a_classifier_is_refused_where_images_have_boxes(imgc, folder):
    write_boxes(folder / "parts")
    result = imgc("tune", "--data", "parts", "--arch", "tiny")
    assert result.exit_code == 2
    assert "--arch tiny: names images, and these have boxes" in result.stderr
    assert not (folder / "runs").exists()
