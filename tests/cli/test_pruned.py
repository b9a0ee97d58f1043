from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from compress.cli.pruned import budget_text, show_pruned
from compress.prune.config import DEFAULT_KEEP, PruneConfig


@pytest.mark.parametrize(
    ("options", "given", "text"),
    [
        ({}, (), "keep 0.7, the default"),
        ({"keep": 0.6}, (), "keep 0.6, from imgc.yaml"),
        ({"keep": 0.6}, ("keep",), "keep 0.6, as asked for"),
        ({"target_latency_ms": 1.25}, ("target_latency_ms",), "target_latency_ms 1.25, as asked for"),
        ({"like": "a.onnx", "weights": "none"}, (), "the MACs of a.onnx, from imgc.yaml"),
    ],
)
def test_the_budget_says_where_it_comes_from(options: dict[str, float], given: tuple[str, ...], text: str):
    assert budget_text(PruneConfig(**options), given) == text


def test_what_was_measured_is_shown_with_its_place(folder: Path, capsys: pytest.CaptureFixture[str]):
    show_pruned(PruneConfig(id="prune-2", keep=0.5), {"keep"}, folder)
    assert capsys.readouterr().out == "prune-2: budget keep 0.5, as asked for\n"
    for name in ("sensitivity.json", "sensitivity.svg"):
        (folder / name).write_text("x")
    show_pruned(PruneConfig(id="prune-2", keep=0.5), {"keep"}, folder)
    assert "prune-2: sensitivity in sensitivity.json and sensitivity.svg\n" in capsys.readouterr().out


def test_a_sibling_has_no_budget_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]):
    show_pruned(PruneConfig(id="prune-sibling", like="prune", weights="none"), (), folder)
    assert capsys.readouterr().out == ""


def test_the_help_tells_the_default(imgc: Callable[..., Result]):
    plain = re.sub(r"[^\w.]+", " ", imgc("prune", "--help").output)
    assert f"Default without another budget {DEFAULT_KEEP:g}" in plain
