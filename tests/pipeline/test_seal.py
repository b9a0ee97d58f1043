from __future__ import annotations

import json

import pytest
from toy_runs import Talk, run

from compress.errors import StageError
from compress.pipeline.seal import SEAL_NAME, check_sealed, find_sealed, is_whole, read_seal

CHAIN = [{"kind": "train"}]


def test_a_seal_says_what_the_lock_says(tmp_path):
    result = run(CHAIN, tmp_path)
    folder = result.run_dir / "01-train"
    seal = read_seal(folder)
    assert seal == result.lock.stages[0]
    assert is_whole(folder, seal)
    assert json.loads((folder / "metrics.json").read_text()) == {"top1_pct": 90.0}
    assert json.loads((folder / "spec.json").read_text())["arch"] == "toy"


def test_what_is_not_whole_is_not_found(tmp_path):
    result = run(CHAIN, tmp_path)
    folder = result.run_dir / "01-train"
    key = result.lock.stages[0].key
    talk = Talk()
    assert find_sealed(result.run_dir, key, talk, first=folder) == folder
    assert find_sealed(result.run_dir, "0" * 64, talk, first=folder) is None
    assert talk.warnings == []
    model = folder / "model.safetensors"
    content = model.read_text()
    model.write_text(content[:-1] + "!")
    assert find_sealed(result.run_dir, key, talk, first=folder) is None
    assert len(talk.warnings) == 1
    model.unlink()
    (tmp_path / "elsewhere").write_text(content)
    model.symlink_to(tmp_path / "elsewhere")
    assert find_sealed(result.run_dir, key, talk, first=folder) is None, "a link may change under us"


def test_a_seal_cannot_lead_out_of_its_folder(tmp_path):
    result = run(CHAIN, tmp_path)
    folder = result.run_dir / "01-train"
    seal = json.loads((folder / SEAL_NAME).read_text())
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    seal["artifact"]["path"] = "../../model.safetensors"
    (folder / SEAL_NAME).write_text(json.dumps(seal))
    assert read_seal(folder) is None
    (folder / SEAL_NAME).write_text("{")
    assert read_seal(folder) is None


def test_a_sealed_file_that_was_changed_is_not_used_and_the_stage_that_remakes_it_is_named(tmp_path):
    path = run(CHAIN, tmp_path).run_dir / "01-train" / "model.safetensors"
    check_sealed(path)
    (tmp_path / "link.safetensors").symlink_to(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    for name in (path, tmp_path / "link.safetensors"):
        with pytest.raises(StageError, match=r"damaged: its SHA-256 is \w{12}, sealed was \w{12}") as caught:
            check_sealed(name)
        assert "makes stage 'train' again" in caught.value.hint
    check_sealed(path.with_name("metrics.json"))  # nothing is said of other files
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(data)
    check_sealed(copy)


def test_a_damaged_seal_is_not_taken_for_none(tmp_path):
    path = run(CHAIN, tmp_path).run_dir / "01-train" / "model.safetensors"
    (path.parent / SEAL_NAME).write_text("{")
    with pytest.raises(StageError, match=r"seal\.json: damaged, so that nobody can tell"):
        check_sealed(path)
    assert not check_sealed(path.with_name("metrics.json"))
