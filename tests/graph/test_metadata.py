from __future__ import annotations

from pathlib import Path

import pytest
from onnx import helper

from compress.core.spec import SPEC_KEY
from compress.errors import ModelFileError
from compress.graph.metadata import embed_spec, spec_of
from compress.models.build import new_spec


def _empty():
    return helper.make_model(helper.make_graph([], "g", [], []))


def test_a_spec_comes_back_and_the_last_one_counts():
    model = _empty()
    model.metadata_props.add(key="other", value="kept")
    embed_spec(model, new_spec("tiny", ["a"]))
    embed_spec(model, new_spec("tiny", ["a", "b"]))
    assert spec_of(model, Path("m.onnx")) == new_spec("tiny", ["a", "b"])
    assert sorted(entry.key for entry in model.metadata_props) == [SPEC_KEY, "other"]


def test_no_spec_is_none_and_a_broken_one_is_an_error():
    model = _empty()
    assert spec_of(model, Path("m.onnx")) is None
    model.metadata_props.add(key=SPEC_KEY, value="{}")
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        spec_of(model, Path("m.onnx"))
