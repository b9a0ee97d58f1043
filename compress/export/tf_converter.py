"""The other converter to TFLite: onnx2tf and TensorFlow, for float graphs outside our op set; a cross-check in tests.

It recalibrates nothing and knows no ranges, so int8 never goes this way. TensorFlow is imported inside the call.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from compress.errors import CheckError, missing_backend
from compress.lower.writer import INPUT_KEY, OUTPUT_KEY, SIGNATURE_KEY
from compress.runtime.tflite_meta import pack, unpack

# onnx2tf downloads this file unless it lies in the working folder; it only feeds its own, unused, accuracy check.
_SAMPLE_NAME = "calibration_image_sample_data_20x128x128x3_float32.npy"
_SAMPLE_SHAPE = (20, 128, 128, 3)


def convert(model: onnx.ModelProto, *, half: bool = False, select_tf_ops: bool = False) -> bytes:
    """Return a float ONNX model as TFLite, with the signature serving_default: images -> logits.

    Args:
        model: float classifier; a free batch becomes 1.
        half: store weights as float16.
        select_tf_ops: allow operators that need the TensorFlow runtime.

    Raises:
        BackendMissingError: tensorflow or onnx2tf is not installed.
        CheckError: one of the two refuses the graph.
    """
    hint = "allow TensorFlow's own operators with `select_tf_ops: true`, or change the model"
    with saved_model(model, hint=hint) as (tf, saved):
        data = _converted(tf, saved, half=half, select_tf_ops=select_tf_ops)
    return with_our_signature(data)


@contextlib.contextmanager
def saved_model(model: onnx.ModelProto, *, hint: str = "") -> Iterator[tuple[Any, Path]]:
    """Give the block TensorFlow and the model as a SavedModel [1,H,W,C], written by onnx2tf; the folder goes with it.

    Inside the block prints, warnings and log lines are kept back, and every error is reported as the conversion's.

    Args:
        model: float classifier; a free batch becomes 1.
        hint: what to try when the conversion fails.

    Raises:
        BackendMissingError: tensorflow or onnx2tf is not installed.
        CheckError: onnx2tf, or TensorFlow in the block, refuses the graph.
    """
    with _recursion_limit_kept(), tempfile.TemporaryDirectory(prefix="imgc-tf-") as name:
        onnx2tf, tf = _backends()
        folder = Path(name)
        np.save(folder / _SAMPLE_NAME, np.zeros(_SAMPLE_SHAPE, np.float32))
        onnx.save(model, folder / "model.onnx")
        try:
            with quiet(), contextlib.chdir(folder):
                onnx2tf.convert(
                    input_onnx_file_path="model.onnx",
                    output_folder_path=str(folder / "saved_model"),
                    batch_size=1,
                    output_signaturedefs=True,
                    not_use_onnxsim=True,
                    non_verbose=True,
                    verbosity="error",
                )
                yield tf, folder / "saved_model"
        except (Exception, SystemExit) as error:  # onnx2tf ends the process where it meets what it does not know
            reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise CheckError(f"onnx2tf and TensorFlow cannot convert the graph: {reason[0]}", hint=hint) from error


@contextlib.contextmanager
def _recursion_limit_kept() -> Iterator[None]:
    """Give the block a recursion limit that is put back: onnx2tf lifts it so far that deep input ends the process."""
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _backends() -> tuple[Any, Any]:
    """Return the modules onnx2tf and tensorflow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet():
            import onnx2tf
            import tensorflow as tf
    except ImportError as error:
        raise missing_backend(error.name or "tensorflow", "tensorflow") from error
    return onnx2tf, tf


def _converted(tf: Any, saved: Path, *, half: bool, select_tf_ops: bool) -> bytes:  # noqa: ANN401 - a module without types
    """Return a SavedModel as TFLite, by TensorFlow's own converter."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if select_tf_ops:
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.SELECT_TF_OPS)
    return bytes(converter.convert())


def with_our_signature(data: bytes) -> bytes:
    """Return the file with the signature's tensors named images and logits."""
    model = unpack(data)
    if len(model.signatureDefs or []) != 1:
        raise CheckError(f"TensorFlow wrote {len(model.signatureDefs or [])} signatures, wanted one")
    signature = model.signatureDefs[0]
    signature.signatureKey = SIGNATURE_KEY
    for entries, key in ((signature.inputs, INPUT_KEY), (signature.outputs, OUTPUT_KEY)):
        for entry in entries:
            entry.name = key
    return pack(model)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep a chatty tool's prints, warnings and log lines off the terminal; its errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        sink = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
