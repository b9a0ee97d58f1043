"""`imgc` in a process of its own from the start: `python -m tests.chain.new_process EXPORTS WORD...`.

A graph for one image is only ever timed, so that it may come from the session's exports; every other one is written by
torch's exporter, in this process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from onnx import ModelProto
from torch import nn

from compress.cli.main import app
from compress.graph import from_torch as exporter
from tests.exports import REAL, SharedExports


def _main(exports: str, *words: str) -> None:
    shared = SharedExports(REAL, Path(exports))

    def export(model: nn.Module, input_chw: tuple[int, int, int], *, dynamic_batch: bool) -> ModelProto:
        return (REAL if dynamic_batch else shared)(model, input_chw, dynamic_batch=dynamic_batch)

    sys.argv = ["imgc", *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporter, "_export", export)
        app()


if __name__ == "__main__":
    _main(*sys.argv[1:])
