from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import Image
from toy_stages import ToyDistill, ToyLook, ToyPrune, ToyTrain

from compress.distill.config import DistillConfig
from compress.errors import DataError
from compress.package import VERSION
from compress.pipeline.key import ALWAYS, changes, key_of, key_parts
from compress.train.config import TrainConfig


def _never() -> str:
    raise AssertionError("the images were read")


def _key(config, inputs=None, seed=0, fingerprint=_never) -> str:
    return key_of(key_parts(config, inputs or {}, seed, fingerprint))


BASE = ToyPrune(id="a", from_="x", keep=0.5)


def test_a_key_is_64_hex_digits_and_names_do_not_count():
    assert re.fullmatch(r"[0-9a-f]{64}", _key(BASE, {"from": "1"}))
    assert _key(BASE, {"from": "1"}) == _key(ToyPrune(id="b", from_="y", keep=0.5), {"from": "1"})
    assert _key(ToyDistill(teacher="t"), {"teacher": "1"}) == _key(ToyDistill(teacher="u"), {"teacher": "1"})


def test_the_names_of_several_teachers_do_not_count_but_their_places_do():
    inputs = {"from": "0", "teacher:1": "1", "teacher:2": "2"}

    def key(names: list[str], **changes: str) -> str:
        return _key(DistillConfig.model_validate({"teacher": names}), inputs | changes, fingerprint=lambda: "f")

    assert key(["a", "b"]) == key(["c", "d.onnx"])
    assert key(["a", "b"]) != key(["a", "b"], **{"teacher:2": "3"})


@pytest.mark.parametrize(
    ("config", "inputs", "seed"),
    [
        (ToyPrune(keep=0.6), {"from": "1"}, 0),
        (BASE, {"from": "2"}, 0),
        (BASE, {"teacher": "1"}, 0),
        (BASE, {"from": "1"}, 1),
        (ToyTrain(), {"from": "1"}, 0),
    ],
    ids=["option", "content", "role", "seed", "kind"],
)
def test_everything_else_counts(config, inputs, seed):
    assert _key(config, inputs, seed) != _key(BASE, {"from": "1"})


def test_version_data_and_backends_count(monkeypatch):
    before = _key(BASE)
    monkeypatch.setattr(ToyPrune, "version", 2)
    assert _key(BASE) != before
    monkeypatch.undo()
    assert _key(ToyLook(), fingerprint=lambda: "a") != _key(ToyLook(), fingerprint=lambda: "b")
    parts = key_parts(TrainConfig(), {}, 0, lambda: "f")
    assert set(parts["backends"]) == {"imgc", "numpy", "pillow", "torch", "torchvision", "timm"}
    assert all(parts["backends"].values())
    monkeypatch.setattr(ToyPrune, "backends", ("no-such-distribution",))
    backends = key_parts(BASE, {}, 0, _never)["backends"]
    assert backends == {"imgc": VERSION, **{name: version(name) for name in ALWAYS}, "no-such-distribution": None}


def test_a_file_counts_by_content_not_by_name(tmp_path):
    one, two = tmp_path / "one.pth", tmp_path / "two.pth"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert _key(ToyTrain(weights=str(one))) == _key(ToyTrain(weights=str(two)))
    two.write_bytes(b"other")
    assert _key(ToyTrain(weights=str(one))) != _key(ToyTrain(weights=str(two)))


def test_a_file_without_an_option_of_its_name_still_counts(tmp_path, monkeypatch):
    path = tmp_path / "f"
    monkeypatch.setattr(ToyPrune, "files", lambda _self: {"deep.file": path})
    path.write_bytes(b"1")
    before = _key(BASE)
    path.write_bytes(b"2")
    assert _key(BASE) != before


def test_changes_say_which_part():
    before = key_parts(BASE, {"from": "a" * 64}, 0, _never)
    after = key_parts(ToyPrune(keep=0.7), {"from": "b" * 64}, 1, _never)
    assert changes(before, after) == [
        "config.keep: 0.5 -> 0.7",
        "inputs.from: aaaaaaaaaaaa... -> bbbbbbbbbbbb...",
        "seed: 0 -> 1",
    ]
    assert changes(before, before) == []


def test_paths_are_json(tmp_path):
    assert key_parts(ToyTrain(weights="none"), {"from": str(Path("x"))}, 0, _never)["data"] is None


def test_a_folder_counts_by_what_it_holds_not_by_its_name(tmp_path, monkeypatch):
    for name, value in (("one", 1), ("two", 1), ("three", 2)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4), (value, 0, 0)).save(tmp_path / name / "a.png")
    keys = []
    for name in ("one", "two", "three"):
        monkeypatch.setattr(ToyPrune, "folders", lambda _self, name=name: {"images": tmp_path / name})
        keys.append(_key(BASE))
    assert keys[0] == keys[1] != keys[2]
    (tmp_path / "three/a.png").unlink()
    with pytest.raises(DataError, match="no images in it"):
        _key(BASE)
