from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compress.cli.local_recipe import block_of, local_recipe

BLOCKS: list[dict[str, Any]] = [
    {"kind": "prune", "keep": 0.7, "importance": "l2"},
    {"kind": "distill", "teacher": ["train"], "alpha": 0.9},
]
TRAIN = [{"kind": "train", "id": "train"}]


def test_without_a_file_there_is_nothing(folder: Path):
    assert local_recipe() == {}
    assert block_of({}, TRAIN, "prune") == {}


@pytest.mark.parametrize(
    ("kind", "given", "left"),
    [
        ("prune", (), {"keep", "importance"}),
        ("prune", ("importance", "scope"), {"keep", "importance"}),
        ("prune", ("target_macs",), {"importance"}),
        ("prune", ("keep",), {"keep", "importance"}),
        ("distill", ("teacher_arch", "teacher_weights"), {"alpha"}),
        ("distill", ("teacher_bf16",), {"teacher", "alpha"}),
        ("distill", ("teacher",), {"teacher", "alpha"}),
    ],
)
def test_one_way_to_say_it_displaces_the_others(kind: str, given: tuple[str, ...], left: set[str]):
    assert set(block_of({"stages": BLOCKS}, TRAIN, kind, given)) == {"kind", *left}


def test_what_belongs_to_a_displaced_way_goes_with_it():
    named = {"kind": "distill", "teacher_arch": "tiny", "teacher_weights": "w.pth", "teacher_input_px": 64}
    assert set(block_of({"stages": [named]}, TRAIN, "distill", ("teacher",))) == {"kind"}
    alike = {"kind": "prune", "like": "m.onnx", "weights": "none"}
    assert set(block_of({"stages": [alike]}, TRAIN, "prune", ("keep",))) == {"kind"}


def test_an_old_key_in_it_is_said_to_be_old(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "imgc.yaml").write_text("imgc: 1\nname: r\nstages: [{kind: export, road: tensorflow}]\n")
    assert local_recipe()["stages"] == [{"kind": "export", "converter": "tensorflow"}]
    assert capsys.readouterr().err == (
        "warning: imgc.yaml:3:25: 'road' is the old name of 'converter'; it is still read, write 'converter'\n"
    )
