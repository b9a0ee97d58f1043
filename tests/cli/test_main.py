from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from compress.cli import stages
from compress.cli.main import app
from compress.package import VERSION
from compress.recipe.schema import stage_kinds

Imgc = Callable[..., Result]
CHAIN = [{"kind": "train", "arch": "tiny", "weights": "none"}, {"kind": "prune"}]


def test_every_stage_kind_has_a_verb_of_its_name():
    commands = {command.name: command.callback for command in app.registered_commands}
    verbs = {name for name, function in commands.items() if function and function.__module__ == stages.__name__}
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    assert verbs | {"benchmark"} == set(stage_kinds())
    assert groups["bench"] is groups["benchmark"]
    assert all(function.__name__ == name for name, function in commands.items() if function and name in verbs)


@pytest.mark.parametrize("command", ["train --device cuda", "run recipe.yaml --device cuda:3"])
def test_a_device_that_is_not_there_is_refused_before_anything_begins(
    imgc: Imgc, folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    result = imgc(*command.split())
    assert result.exit_code == 2
    assert "PyTorch finds 0 CUDA devices here; give cpu" in " ".join(result.stderr.replace("│", " ").split())
    assert list(folder.iterdir()) == []


def test_the_version(imgc: Imgc):
    assert imgc("--version").stdout == f"imgc {VERSION}\n"


def test_nothing_is_a_question_for_help(imgc: Imgc):
    assert "init" in imgc().output


BAD_WITHOUT_RUN = [
    ["prune"],
    ["distill"],
    ["quantize"],
    ["export"],
    ["benchmark"],
    ["bench"],
    ["train"],
    ["serve"],
    ["report"],
    ["predict", "x.jpg"],
    ["run"],
    ["run", "--resume"],
    ["run", "absent.yaml"],
    ["run", "empty.yaml"],
    ["plan", "absent.yaml"],
    ["plan", "empty.yaml"],
    ["init", "absent"],
    ["init", "empty.yaml"],
    ["evaluate", "absent.onnx", "--data", "."],
    ["evaluate", "empty.yaml", "--data", "."],
    ["inspect", "absent.tflite"],
    ["inspect", "empty.yaml"],
    ["predict", "x.jpg", "--model", "absent.onnx"],
    ["serve", "absent.onnx"],
    ["serve", "empty.yaml"],
    ["export", "absent.onnx"],
    ["prune", "--from", "absent.safetensors"],
    ["train", "--data", "absent"],
    ["data", "defects", "--out", "empty.yaml"],
]


@pytest.mark.parametrize("arguments", BAD_WITHOUT_RUN, ids=" ".join)
def test_a_mistake_in_an_empty_folder(imgc: Imgc, folder: Path, arguments: list[str]):
    (folder / "empty.yaml").write_text("")
    result = imgc(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""
    assert not (folder / "runs").exists(), "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "m.onnx"],
        ["prune", "--kep", "0.5"],
        ["prun"],
        ["prune", "--keep", "much"],
        ["serve", "--port", "high"],
    ],
    ids=" ".join,
)
def test_typer_refuses_what_it_can(imgc: Imgc, folder: Path, arguments: list[str]):
    result = imgc(*arguments)
    assert result.exit_code == 2
    assert "Usage: imgc" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prune", "--keep", "1.5"], "found 1.5"),
        (["prune", "--keep", "0"], "found 0"),
        (["prune", "--set", "kep=0.5"], "did you mean 'keep'"),
        (["prune", "--set", "keep"], "key=value"),
        (["prune", "--from", "trian"], "did you mean 'train'"),
        (["prune", "--run", "other"], "other"),
        (["distill", "--teacher", "absent.safetensors"], "absent.safetensors"),
        (["distill", "--teacher", "train", "--teacher", "absent.onnx"], "absent.onnx"),
        (["distill", "--loss", "dkb"], "did you mean 'dkd'"),
        (["distill", "--hints", "-1"], "hints"),
        (["quantize", "--scheme", "int9"], "int8_static"),
        (["export", "--format", "tfilte"], "did you mean 'tflite'"),
        (["export", "--format", "onnx", "--out", "m.tflite"], ".onnx"),
        (["export", "--format", "all", "--out", "m.tflite"], "--format onnx or tflite"),
        (["export", "m.onnx", "--from", "train"], "once"),
        (["benchmark", "--threads", "0"], "threads"),
        (["train", "--data", "photos", "--arch", "tinny"], "did you mean 'tiny'"),
        (["serve"], "imgc export"),
    ],
)
def test_a_mistake_with_a_run(imgc: Imgc, make_run: Callable[..., Path], arguments: list[str], words: str):
    run_dir = make_run("r", CHAIN)
    before = sorted(run_dir.rglob("*"))
    result = imgc(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert sorted(run_dir.rglob("*")) == before


@pytest.mark.parametrize("name", ["m.safetensors", "m.onnx", "m.tflite"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 100], ids=["empty", "garbage"])
def test_a_damaged_model_is_said_to_be_damaged(imgc: Imgc, folder: Path, name: str, content: bytes):
    (folder / name).write_bytes(content)
    result = imgc("inspect", name)
    assert result.exit_code == 4
    assert result.stderr.startswith(f"error: {name}: ")


@pytest.mark.parametrize("text", ["nonsense", '{"crop_px": 8, "resize_px": 8}', '{"size": 1}'])
def test_a_preprocessing_that_cannot_be(imgc: Imgc, folder: Path, text: str):
    (folder / "m.onnx").write_bytes(b"x")
    result = imgc("evaluate", "m.onnx", "--data", ".", "--preprocess", text)
    assert result.exit_code == 2
    assert "--preprocess" in result.stderr


def test_plan_shows_every_stage_and_gate(imgc: Imgc, folder: Path):
    (folder / "r.yaml").write_text(
        "imgc: 1\nname: r\ndata: {kind: defects}\n"
        "stages: [{kind: train}, {kind: quantize}, {kind: export, format: all}, {kind: benchmark}]\n"
        "gates: [{metric: top1_drop_pp, at: quantize, max: 1.5}]\n"
    )
    text = imgc("plan", "r.yaml").stdout
    assert "run r, seed 0" in text
    assert [line.split()[1] for line in text.splitlines() if line.strip()[:1].isdigit()] == [
        "train",
        "quantize",
        "export-onnx",
        "export-tflite",
        "benchmark",
    ]
    assert "train, quantize, export-onnx, export-tflite" in text
    assert "gate: top1_drop_pp at quantize: max 1.5" in text
    resolved = json.loads(imgc("plan", "r.yaml", "--set", "stages.train.arch=tiny", "--json").stdout)
    assert resolved["stages"][0]["arch"] == "tiny"
    assert not (folder / "runs").exists()


def test_plan_says_which_key_is_old(imgc: Imgc, folder: Path):
    (folder / "r.yaml").write_text(
        "imgc: 1\nname: r\ndata: {kind: defects}\nstages: [{kind: train}, {kind: export, road: lower}]\n"
    )
    result = imgc("plan", "r.yaml", "--json")
    assert "warning: r.yaml:4:40: 'road' is the old name of 'converter'" in result.stderr
    assert [stage.get("converter") for stage in json.loads(result.stdout)["stages"]] == [None, "lower", "lower"]


def test_doctor_knows_this_environment(imgc: Imgc):
    found = json.loads(imgc("doctor", "--json").stdout)
    by_name: dict[str, Any] = {package["name"]: package for package in found["packages"]}
    assert by_name["typer"]["extra"] == ""
    assert by_name["onnxruntime"]["extra"] == "serve", "the smallest extra that installs it"
    assert by_name["torch"]["version"] == version("torch")
    assert "pytest" not in by_name
    assert found["host"]["cores"] >= 1
    assert "typer" in imgc("doctor").stdout


def test_doctor_names_the_extra_of_what_is_missing(imgc: Imgc, monkeypatch: pytest.MonkeyPatch):
    from compress.cli import doctor

    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else real(name))
    found = json.loads(imgc("doctor", "--json").stdout)
    assert found["missing"] == ["torch"]
    assert any("imgc-toolkit[train]" in line for line in found["advice"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [(["avx512_vnni", "avx2"], "VNNI"), (["asimddp"], "NEON"), (["avx2"], "without VNNI"), ([], "no int8")],
)
def test_doctor_judges_the_cpu(flags: list[str], words: str):
    from compress.cli.doctor import cpu_advice

    assert words in cpu_advice({"flags": flags})[0]


def test_defects_are_written_once(imgc: Imgc, folder: Path):
    arguments = ["data", "defects", "--out", "d", "--size-px", "64", "--train", "7", "--val", "7", "--test", "7"]
    assert "imgc init d" in imgc(*arguments).stdout
    assert len(list((folder / "d" / "train").rglob("*.*"))) == 7
    assert imgc(*arguments).exit_code == 2
