"""A float32 network as one clean ONNX graph; equal weights, equal bytes.

`images` [N,3,H,W] go in; out come a classifier's `logits` [N,K], or a detector's `boxes` [N,A,4] and `logits` [N,A,K].
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from onnx import ModelProto, version_converter
from torch import nn

from compress.core.boxes import BOXES, LOGITS
from compress.core.spec import ModelSpec
from compress.errors import UsageError
from compress.graph.cleanup import clean, strip
from compress.graph.metadata import embed_spec
from compress.models.build import describe
from compress.models.fold import fold_batch_norm

INPUT_NAME = "images"
_OUTPUT_NAMES = {"classify": ("logits",), "detect": (BOXES, LOGITS)}
_EXPORT_OPSET = 18  # torch's exporter writes this one natively
OPSETS = range(14, 22)  # HardSwish came with 14
_CHATTY = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")


def to_onnx(model: nn.Module, spec: ModelSpec, *, opset: int = _EXPORT_OPSET, dynamic_batch: bool = True) -> ModelProto:
    """Return the network in eval mode as ONNX, batch norm folded, the spec in its metadata.

    Args:
        model: the network of `spec`; not changed.
        spec: gives the input's size and travels in the file (without layer table: the graph is the table).
        opset: one of `OPSETS`.
        dynamic_batch: the batch is a free axis named `batch`; else it is 1.

    Raises:
        UsageError: the opset is not one of `OPSETS`.
    """
    if opset not in OPSETS:
        raise UsageError(f"opset {opset} cannot be written (allowed {OPSETS.start} to {OPSETS.stop - 1})")
    folded = fold_batch_norm(model, spec.input_chw).cpu().to(memory_format=torch.contiguous_format)
    _use_no_operator_in_place(folded)
    exported = clean(_export(folded, spec, dynamic_batch=dynamic_batch))
    if opset != _EXPORT_OPSET:
        exported = version_converter.convert_version(exported, opset)
        strip(exported)
        onnx.checker.check_model(exported, full_check=True)
    described = describe(model, spec)
    embed_spec(exported, described.model_copy(update={"layers": (), "rewrites": (*spec.rewrites, "fold_bn")}))
    return exported


def _use_no_operator_in_place(model: nn.Module) -> None:
    """Let activations write to new tensors: the graph is the same, and torch's exporter is faster.

    It traces an in-place activation through its decomposition, `aten.hardswish_` for one, to replace it in the end.
    """
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010 - to the type checker every attribute is a tensor


def _export(model: nn.Module, spec: ModelSpec, *, dynamic_batch: bool) -> ModelProto:
    output_names = list(_OUTPUT_NAMES[spec.task])
    # an example batch of 1 would be taken for a constant
    images_NCHW = torch.zeros(2 if dynamic_batch else 1, *spec.input_chw)
    shapes = ({0: torch.export.Dim("batch")},) if dynamic_batch else None
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (images_NCHW,),
            dynamo=True,
            external_data=False,
            opset_version=_EXPORT_OPSET,
            input_names=[INPUT_NAME],
            output_names=output_names,
            dynamic_shapes=shapes,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export(dynamo=True) returned no program")
    return program.model_proto


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's progress and deprecation notices off the terminal; its errors still raise."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
