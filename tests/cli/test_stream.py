"""`imgc predict` over folders, videos and cameras."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import Result

from compress.cli.stream import JsonView, LiveView, PlainView, live_line, make_view
from compress.core.preprocess import Preprocess
from compress.core.spec import SPEC_KEY, ModelSpec
from compress.core.stage import SilentReporter
from compress.data import frames
from compress.data.frames import Frame
from compress.runtime.stream import Meter

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

Imgc = Callable[..., Result]
COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}
PLAIN = Preprocess(resize_px=16, crop_px=16, mean=(0, 0, 0), std=(1, 1, 1))
SUMMARY = {"frames", "seconds", "fps_sustained", "decode_ms", "infer_ms", "overlap_share", "dropped", "skipped"}


@pytest.fixture
def model(folder: Path) -> str:
    """Write a model whose logits are ten times the mean of each channel: it names the colour."""
    spec = ModelSpec(arch="tiny", labels=tuple(COLOURS), input_chw=(3, 16, 16), preprocess=PLAIN)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "weight"], ["logits"]),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(10 * np.eye(3, dtype=np.float32), "weight")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    made.metadata_props.add(key=SPEC_KEY, value=spec.model_dump_json())
    onnx.save(made, "m.onnx")
    return "m.onnx"


@pytest.fixture
def images(folder: Path) -> Path:
    inside = folder / "images"
    inside.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (20, 20), colour).save(inside / f"{name}.png")
    return inside


@pytest.fixture
def video(folder: Path) -> str:
    with av.open("v.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for colour in list(COLOURS.values()) * 4:
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (32, 32), colour))))
        container.mux(stream.encode(None))
    return "v.mp4"


def json_lines(result: Result) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert set(last) == {"summary"}
    assert set(last["summary"]) == SUMMARY
    return lines, last["summary"]


@pytest.mark.parametrize("arguments", [["images"], ["--dir", "images"]], ids=" ".join)
def test_a_folder(imgc: Imgc, model: str, images: Path, arguments: list[str]):
    result = imgc("predict", *arguments, "--model", model, "--json", "--top-k", "2")
    assert result.exit_code == 0, result.output
    lines, summary = json_lines(result)
    assert [Path(line["name"]).stem for line in lines] == sorted(COLOURS)
    assert [line["predictions"][0]["label"] for line in lines] == sorted(COLOURS)
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert {len(line["predictions"]) for line in lines} == {2}
    assert lines[0]["infer_ms"] > 0
    assert (summary["frames"], summary["dropped"], summary["skipped"]) == (3, 0, 0)
    assert summary["fps_sustained"] == pytest.approx(3 / summary["seconds"])
    assert summary["decode_ms"]["p50"] <= summary["decode_ms"]["p95"]
    assert 0 <= summary["overlap_share"] <= 1


def test_a_folder_says_what_single_images_say(imgc: Imgc, model: str, images: Path):
    paths = sorted(images.iterdir())
    alone = json.loads(imgc("predict", *paths, "--model", model, "--json").stdout)["images"]
    lines, _ = json_lines(imgc("predict", images, "--model", model, "--json"))
    assert [(line["name"], line["predictions"]) for line in lines] == [
        (one["image"], one["predictions"]) for one in alone
    ]


def test_text_for_a_pipe(imgc: Imgc, model: str, images: Path):
    result = imgc("predict", "images", "--model", model, "--top-k", "1")
    *lines, last = result.stdout.splitlines()
    assert lines == [f"images/{name}.png: {name} 1.000" for name in sorted(COLOURS)]
    assert last.startswith("summary: frames=3 seconds=")
    facts = dict(part.split("=") for part in last.split()[1:])
    assert {"fps_sustained", "decode_p50_ms", "decode_p95_ms", "infer_p50_ms", "infer_p95_ms"} < set(facts)
    assert (facts["dropped"], facts["skipped"]) == ("0", "0")
    assert result.stderr == f"info: model {model} (onnxruntime {onnxruntime_version()})\n"


def onnxruntime_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def test_bad_images_are_named_skipped_and_counted(imgc: Imgc, model: str, images: Path):
    (images / "gap.jpg").write_bytes(b"no image")
    result = imgc("predict", "images", "--model", model, "--json")
    assert result.exit_code == 2
    lines, summary = json_lines(result)
    assert [("error" in line, Path(line["name"]).name) for line in lines] == [
        (False, "blue.png"),
        (True, "gap.jpg"),
        (False, "green.png"),
        (False, "red.png"),
    ]
    assert (summary["frames"], summary["skipped"]) == (3, 1)
    assert "error: 1 of 4 images were skipped" in result.stderr
    text = imgc("predict", "images", "--model", model)
    assert text.exit_code == 2
    assert "warning: images/gap.jpg: not an image" in text.stderr
    assert "gap.jpg" not in text.stdout


def test_a_video_loses_no_frame(imgc: Imgc, model: str, video: str):
    result = imgc("predict", "--video", video, "--model", model, "--json")
    assert result.exit_code == 0, result.output
    lines, summary = json_lines(result)
    assert [line["predictions"][0]["label"] for line in lines] == list(COLOURS) * 4
    assert (summary["frames"], summary["dropped"]) == (12, 0)


def test_a_camera_shows_the_newest_frame(imgc: Imgc, model: str, monkeypatch: pytest.MonkeyPatch):
    """While the model has frame 0 the camera makes all the others: the next one shown is the last."""
    import threading

    from compress.runtime import stream

    taken, made = threading.Event(), threading.Event()

    def camera(address: str) -> Generator[Frame, None, None]:
        assert address == "7"
        yield Frame("first", Image.new("RGB", (20, 20), COLOURS["red"]), 0)
        assert taken.wait(20)
        for index in range(9):
            yield Frame(f"{index}", Image.new("RGB", (20, 20), COLOURS["blue"]), 0)
        made.set()

    def held(prepared: Any, predictor: Any, meter: Any) -> Any:
        for answer in real(prepared, predictor, meter):
            taken.set()
            assert made.wait(20)
            yield answer

    real = stream.answers
    monkeypatch.setattr(stream, "answers", held)
    monkeypatch.setattr(frames, "camera_frames", camera)
    result = imgc("predict", "--camera", "7", "--model", model, "--json")
    lines, summary = json_lines(result)
    assert [line["name"] for line in lines] == ["first", "8"]
    assert (summary["frames"], summary["dropped"]) == (2, 8)


def test_what_is_lost_on_the_way_still_has_a_summary(imgc: Imgc, model: str, monkeypatch: pytest.MonkeyPatch):
    from compress.errors import DataError

    def camera(_: str) -> Generator[Frame, None, None]:
        yield Frame("first", Image.new("RGB", (20, 20)), 0)
        raise DataError("cam: lost")

    monkeypatch.setattr(frames, "camera_frames", camera)
    result = imgc("predict", "--camera", "0", "--model", model, "--json")
    assert result.exit_code == 2
    assert json_lines(result)[1]["frames"] == 1
    assert "error: cam: lost" in result.stderr


PROGRAM = """
import sys
from compress.data import frames
frames.camera_address = lambda camera: ("testsrc=size=64x48:rate=60,realtime", "lavfi")
from compress.cli.main import app
app(sys.argv[1:])
"""


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_ctrl_c_ends_with_the_summary(model: str, as_json: bool):
    arguments = ["predict", "--camera", "0", "--model", model, *(["--json"] if as_json else [])]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(5)]
        running.send_signal(signal.SIGINT)
        rest, errors = running.communicate(timeout=60)
    assert running.returncode == 0, errors
    lines += rest.splitlines()
    assert "Traceback" not in errors
    if as_json:
        assert json.loads(lines[-1])["summary"]["frames"] == len(lines) - 1
    else:
        assert lines[-1].startswith(f"summary: frames={len(lines) - 1} ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to classify"),
        (["a.png", "--camera", "0"], "more than one source"),
        (["images", "--dir", "images"], "more than one source"),
        (["--video", "v.mp4", "--dir", "images"], "more than one source"),
        (["a.png", "images"], "images: a folder among images"),
        (["--camera", "front"], "front: not a camera"),
        (["--camera", "--json"], "--json: not a camera"),
        (["--video", "absent.mp4"], "absent.mp4: no such file"),
        (["--dir", "absent"], "absent: no such folder"),
        (["--dir", "empty"], "allowed .apng, .bmp"),
        (["empty"], "allowed .apng, .bmp"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake(imgc: Imgc, model: str, images: Path, folder: Path, arguments: list[str], words: str):
    (folder / "empty").mkdir()
    result = imgc("predict", *arguments, "--model", model)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_the_view_fits_the_place(monkeypatch: pytest.MonkeyPatch):
    reporter = SilentReporter()
    assert isinstance(make_view(reporter, as_json=True, quiet=False), JsonView)
    assert isinstance(make_view(reporter, as_json=False, quiet=False), PlainView)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert isinstance(make_view(reporter, as_json=False, quiet=False), PlainView), "stderr is a file"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(make_view(reporter, as_json=False, quiet=False), LiveView)
    assert isinstance(make_view(reporter, as_json=False, quiet=True), PlainView)


def test_the_live_line():
    now = [0]
    meter = Meter(clock=lambda: now[0])
    for index in range(20):
        now[0] = (index + 1) * 100_000_000
        meter.add((now[0] - 9, now[0] - 8), (now[0] - 2_000_000, now[0]))
    rows = [{"index": 0, "label": "shoes", "score": 0.9}, {"index": 1, "label": "hat", "score": 0.1}]
    text = live_line(rows, meter, 3)
    assert text == "shoes 0.900 | 10.0 frames/s | infer p50 2.00, p95 2.00 ms | 20 frames, 3 dropped"
