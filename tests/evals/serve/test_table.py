from __future__ import annotations

import pytest

from compress.errors import UsageError
from evals.pages.pages import data_path
from evals.results.schema import read_results
from evals.serve import table
from evals.serve.blocks import PARTS
from evals.serve.endure import Soak
from evals.serve.images import LoadImages
from evals.serve.table import main, newest, parse
from tests.evals.blocks import MEASURED


def test_parts_and_numbers_may_be_chosen():
    given = parse(["run", "photos", "--only", "load,soak", "--soak", "50"])
    assert given.only == ("load", "soak")
    assert (given.soak, given.rounds) == (50, None)
    assert parse(["run", "photos"]).only == PARTS
    assert tuple(table._MEASURES) == PARTS


def test_a_part_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["run", "photos", "--only", "lod"])
    assert "unknown part 'lod'" in capsys.readouterr().err


def test_the_last_stage_that_made_a_file_counts(tmp_path):
    for stage in ("02-ptq", "04-qat"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "model.onnx").touch()
    assert newest(tmp_path, ".onnx") == tmp_path / "04-qat" / "model.onnx"
    with pytest.raises(UsageError, match=r"no model\.tflite"):
        newest(tmp_path, ".tflite")


def test_parts_measured_one_by_one_make_one_page(tmp_path, monkeypatch):
    for suffix in ("onnx", "tflite"):
        (tmp_path / "run" / "01-x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / "01-x" / f"model.{suffix}").touch()
    page = tmp_path / "serving.md"
    page.write_text("before\n<!-- serve:begin -->\nold\n<!-- serve:end -->\nafter\n")
    monkeypatch.setattr(table, "make_images", lambda photos, folder: LoadImages([], folder / "large.jpg"))
    monkeypatch.setattr(table, "measured_now", lambda: MEASURED)

    def soak(setting, say):
        return Soak("imgc, tflite", setting.soak, 1 << 20, 2 << 20, 0, 0, 1.0)

    monkeypatch.setitem(table._MEASURES, "soak", soak)
    monkeypatch.setitem(table._MEASURES, "steady", lambda setting, say: [])
    words = [str(tmp_path / "run"), str(tmp_path), "--docs", str(tmp_path), "--soak", "70"]
    main([*words, "--only", "soak"])
    main([*words, "--only", "steady"])
    assert [one.key for one in read_results(data_path("serving", tmp_path)).blocks] == ["soak", "steady"]
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "n = 70 requests" in text
    assert "old" not in text
