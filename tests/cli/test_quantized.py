from __future__ import annotations

import json

from compress.cli.quantized import show_plan, show_sensitivity


def _candidate(name, p50_ms, refused=""):
    metrics = {"top1_pct": 87.5, "agreement_pct": 97.0}
    measured = {"p50_ms": p50_ms, "size_bytes": 2048, "partitions": 1}
    return {"name": name, "metrics": metrics, **measured, "refused": refused}


def test_the_plan_marks_the_choice_and_says_why(tmp_path, capsys):
    candidates = [_candidate("fp32", 2.0), _candidate("int8", 1.0), _candidate("swap", 0.5, "top-1 drops by 9 pp")]
    plan = {"target": "cpu-xnnpack", "judged_on": "images", "chosen": "int8", "why": "the fastest"}
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "candidates": candidates}))
    show_plan(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if "*" in line] == [["*", "int8"]]
    assert next(line for line in lines if "swap" in line).endswith("top-1 drops by 9 pp")
    assert "chosen: the fastest" in lines


def test_sensitivity_is_a_ranked_table(tmp_path, capsys):
    layer = {"layer": "stem", "ops": "Conv", "nodes": ["stem"], "kl": 0.5, "sqnr_db": 9.0, "agreement_pct": 80.0}
    found = {"images": 64, "judged_on": "images", "float_top1_pct": None, "layers": [{**layer, "top1_pct": None}]}
    (tmp_path / "sensitivity.json").write_text(json.dumps(found))
    show_sensitivity(tmp_path)
    assert "sensitivity.svg" not in capsys.readouterr().out, "without the extra that draws it"
    (tmp_path / "sensitivity.svg").write_text("<svg/>")
    show_sensitivity(tmp_path)
    out = capsys.readouterr().out
    assert "5.00e-01" in out
    assert "top-1" not in out
    assert "sensitivity.svg" in out


def test_tables_of_a_detector_say_map(tmp_path, capsys):
    layer = {"layer": "stem", "ops": "Conv", "nodes": ["stem"], "kl": 0.5, "sqnr_db": 9.0, "agreement_pct": 80.0}
    found = {"images": 64, "judged_on": "images", "float_map_pct": 41.5, "layers": [{**layer, "map_pct": 40.25}]}
    (tmp_path / "sensitivity.json").write_text(json.dumps(found))
    one = {**_candidate("int8", 1.0), "metrics": {"map_pct": 39.75, "agreement_pct": 97.0}}
    plan = {"target": "cpu-xnnpack", "judged_on": "images", "chosen": "int8", "why": "the fastest", "candidates": [one]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    show_sensitivity(tmp_path)
    show_plan(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "(float mAP 41.50 %)" in out
    assert out.count("mAP %") == 2
    assert "40.25" in out
    assert "39.75" in out
    assert "top-1" not in out


def test_a_stage_without_tables_prints_none(tmp_path, capsys):
    show_plan(tmp_path)
    show_sensitivity(tmp_path)
    assert capsys.readouterr().out == ""
