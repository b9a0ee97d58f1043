"""Every recipe shape: what runs, what is reused, what it reads."""

from __future__ import annotations

import os
import shutil

import onnx
from onnx import TensorProto, helper
from toy_runs import LINE, Talk, hashes, run
from toy_stages import SPEC

from compress.graph.metadata import embed_spec
from compress.pipeline.lock import read_lock

IDS = ["train", "prune", "distill", "quantize", "export-onnx", "export-tflite"]


def test_a_line(tmp_path, calls):
    result = run(LINE, tmp_path)
    assert calls == IDS
    assert result.reused == ()
    assert [stage.id for stage in result.lock.stages] == IDS
    assert hashes(result) == {stage.id: stage.artifact.sha256 for stage in result.lock.stages}
    assert len(set(hashes(result).values())) == len(IDS)
    assert sorted(path.name for path in result.run_dir.iterdir() if not path.name.startswith(".")) == [
        *(f"{number:02d}-{stage_id}" for number, stage_id in enumerate(IDS, 1)),
        "environment.json",
        "gates.json",
        "recipe.resolved.yaml",
        "recipe.yaml",
        "run.lock.json",
    ]
    assert {path.name for path in (result.run_dir / "02-prune").iterdir()} == {
        "model.safetensors",
        "spec.json",
        "metrics.json",
        "seal.json",
    }
    assert (tmp_path / "runs" / "latest").readlink().name == "demo"
    assert not (result.run_dir / ".partial").exists()


def test_a_second_run_executes_nothing(tmp_path, calls):
    first = run(LINE, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in first.run_dir.glob("*/*")}
    calls.clear()
    second = run(LINE, tmp_path)
    assert calls == []
    assert second.reused == tuple(IDS)
    assert second.lock == first.lock
    assert {path: path.stat().st_mtime_ns for path in first.run_dir.glob("*/*")} == before


def test_a_changed_stage_reruns_itself_and_what_follows(tmp_path, calls):
    before = hashes(run(LINE, tmp_path))
    calls.clear()
    changed = [*LINE[:2], {"kind": "distill", "seed_text": "other"}, *LINE[3:]]
    second = run(changed, tmp_path)
    assert calls == IDS[2:]
    assert second.reused == ("train", "prune")
    assert hashes(second)["prune"] == before["prune"]
    assert hashes(second)["quantize"] != before["quantize"]


def test_another_seed_reruns_all(tmp_path, calls):
    run(LINE[:2], tmp_path)
    calls.clear()
    run(LINE[:2], tmp_path, seed=1)
    assert calls == ["train", "prune"]


def test_fan_out_and_a_chosen_teacher(tmp_path, calls):
    stages = [
        {"kind": "train", "id": "big"},
        {"kind": "train", "id": "small", "seed_text": "s"},
        {"kind": "prune", "id": "half", "from": "small", "keep": 0.5},
        {"kind": "prune", "id": "most", "from": "small", "keep": 0.9},
        {"kind": "distill", "id": "a", "from": "half", "teacher": "big"},
        {"kind": "distill", "id": "b", "from": "half"},
        {"kind": "benchmark"},
    ]
    result = run(stages, tmp_path)
    inputs = {stage.id: stage.inputs for stage in result.lock.stages}
    assert inputs["a"] == {"from": "half", "teacher": "big"}
    assert inputs["b"] == {"from": "half", "teacher": "small"}, "the newest trained one"
    assert inputs["benchmark"] == {f"model:{stage['id']}": stage["id"] for stage in stages[:-1]}
    assert hashes(result)["a"] != hashes(result)["b"]
    calls.clear()
    stages[3]["keep"] = 0.8
    run(stages, tmp_path)
    assert calls == ["most", "benchmark"], "the other branch stays"


def test_a_sibling_run_lends_its_stages_as_hard_links(tmp_path, calls):
    first = run(LINE, tmp_path)
    calls.clear()
    second = run([*LINE[:2], {"kind": "quantize", "id": "q", "seed_text": "new"}], tmp_path, name="other")
    assert calls == ["q"]
    assert [stage.reused for stage in second.lock.stages] == [True, True, False]
    ours, theirs = (result.run_dir / "02-prune" / "model.safetensors" for result in (second, first))
    assert ours.stat().st_ino == theirs.stat().st_ino
    assert second.lock.stages[1].artifact.stage_id == "prune"
    assert (tmp_path / "runs" / "latest").readlink().name == "other"
    shutil.rmtree(first.run_dir)
    calls.clear()
    run([*LINE[:2], {"kind": "quantize", "id": "q", "seed_text": "new"}], tmp_path, name="other")
    assert calls == []


def test_where_links_are_refused_files_are_copied(tmp_path, calls, monkeypatch):
    first = run(LINE[:1], tmp_path)
    calls.clear()

    def _refuse(*_args, **_options):
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", _refuse)
    second = run(LINE[:1], tmp_path, name="other")
    assert calls == []
    assert hashes(second) == hashes(first)


def test_a_stage_put_in_between_moves_the_others(tmp_path, calls):
    before = hashes(run([LINE[0], {"kind": "quantize"}], tmp_path))
    calls.clear()
    second = run([LINE[0], {"kind": "prune"}, {"kind": "quantize", "from": "train"}], tmp_path)
    assert calls == ["prune"]
    assert hashes(second)["quantize"] == before["quantize"]
    assert sorted(path.name for path in second.run_dir.glob("[0-9]*")) == ["01-train", "02-prune", "03-quantize"]
    assert second.lock.find("quantize").artifact.path.parts[0] == "03-quantize"


def test_a_stage_taken_out_is_removed_but_strange_folders_stay(tmp_path):
    first = run(LINE, tmp_path)
    (first.run_dir / "99-my-notes").mkdir()
    second = run(LINE[:2], tmp_path)
    assert sorted(path.name for path in second.run_dir.glob("[0-9]*")) == ["01-train", "02-prune", "99-my-notes"]
    assert [stage.id for stage in read_lock(second.run_dir).stages] == ["train", "prune"]


def test_twins_share_the_work(tmp_path, calls):
    stages = [
        {"kind": "train"},
        {"kind": "prune", "id": "a", "from": "train"},
        {"kind": "prune", "id": "b", "from": "train"},
    ]
    result = run(stages, tmp_path)
    assert calls == ["train", "a"]
    assert hashes(result)["a"] == hashes(result)["b"]
    again = run(stages, tmp_path)
    assert again.lock == result.lock


def test_renamed_stages_are_not_made_again(tmp_path, calls):
    run([{"kind": "train"}, {"kind": "prune"}], tmp_path)
    calls.clear()
    result = run([{"kind": "train", "id": "t"}, {"kind": "prune", "id": "p", "from": "t"}], tmp_path)
    assert calls == []
    assert [stage.artifact.stage_id for stage in result.lock.stages] == ["t", "p"]
    assert sorted(path.name for path in result.run_dir.glob("[0-9]*")) == ["01-t", "02-p"]


def _onnx_file(path, batch: int):
    tensor = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 2])
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 2])
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["logits"])], "g", [tensor], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    embed_spec(model, SPEC)
    onnx.save(model, path)


def test_a_model_file_counts_by_content(tmp_path, calls):
    _onnx_file(tmp_path / "m.onnx", 1)
    stages = [{"kind": "quantize", "from": "m.onnx"}, {"kind": "export", "format": "tflite"}]
    result = run(stages, tmp_path)
    assert result.lock.stages[0].inputs == {"from": str(tmp_path / "m.onnx")}
    calls.clear()
    (tmp_path / "m.onnx").rename(tmp_path / "n.onnx")
    run([{"kind": "quantize", "from": "n.onnx"}, stages[1]], tmp_path)
    assert calls == [], "same content under another name"
    _onnx_file(tmp_path / "n.onnx", 2)
    run([{"kind": "quantize", "from": "n.onnx"}, stages[1]], tmp_path)
    assert calls == ["quantize", "export"]


def test_a_file_option_counts_by_content(tmp_path, calls):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    stages = [{"kind": "train", "weights": "w.safetensors"}]
    run(stages, tmp_path)
    run(stages, tmp_path)
    assert calls == ["train"]
    weights.write_bytes(b"two")
    run(stages, tmp_path)
    assert calls == ["train", "train"]


def test_images_are_part_of_the_key_of_stages_that_read_them(tmp_path, calls, photos):
    folder = shutil.copytree(photos, tmp_path / "photos")
    stages = [{"kind": "train"}, {"kind": "look"}]
    data = {"kind": "folder", "path": "photos"}
    run(stages, tmp_path, data=data)
    run(stages, tmp_path, data=data)
    assert calls == ["train", "look"]
    next((folder / "train" / "red").iterdir()).unlink()
    run(stages, tmp_path, data=data)
    assert calls == ["train", "look", "look"]


def test_each_stage_says_what_it_reads_and_writes(tmp_path):
    talk = Talk()
    result = run(LINE[:2], tmp_path, reporter=talk)
    assert "prune: running, reads from: demo/01-train/model.safetensors" in talk.infos
    assert any(line.startswith(f"prune: wrote {result.run_dir}/02-prune/model.safetensors in ") for line in talk.infos)
    again = Talk()
    run(LINE[:2], tmp_path, reporter=again)
    assert again.infos == ["train, prune: reused, done before"]
