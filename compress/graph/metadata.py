"""The spec inside an ONNX file, in `metadata_props`. Needs onnx alone."""

from __future__ import annotations

from pathlib import Path

import onnx
from pydantic import ValidationError

from compress.core.spec import SPEC_KEY, ModelSpec
from compress.errors import ModelFileError


def embed_spec(model_proto: onnx.ModelProto, spec: ModelSpec) -> None:
    """Put the spec into the model, in place of any it carries."""
    others = [entry for entry in model_proto.metadata_props if entry.key != SPEC_KEY]
    del model_proto.metadata_props[:]
    model_proto.metadata_props.extend(others)
    model_proto.metadata_props.add(key=SPEC_KEY, value=spec.model_dump_json())


def spec_of(model_proto: onnx.ModelProto, path: Path) -> ModelSpec | None:
    """Return the spec in a model, None if it carries none (a file of another tool); `path` is for messages.

    Raises:
        ModelFileError: it carries one that cannot be read.
    """
    text = next((entry.value for entry in model_proto.metadata_props if entry.key == SPEC_KEY), None)
    if text is None:
        return None
    try:
        return ModelSpec.model_validate_json(text)
    except ValidationError as error:
        raise ModelFileError(f"{path}: the spec in its metadata ('{SPEC_KEY}') is invalid: {error}") from error
