"""A model file given by name -> an artifact that a stage can read like any other."""

from __future__ import annotations

from pathlib import Path

from compress.core.artifact import Artifact
from compress.core.formats import Format, format_of
from compress.core.onnx_file import sha256_model
from compress.core.spec import ModelSpec
from compress.errors import missing_backend
from compress.pipeline.given import vouch

FILE_KIND = "file"


def file_artifact(path: Path) -> Artifact:
    """Return a model file as an artifact; its id is its path, its spec None when the file carries none.

    Raises:
        ModelFileError: not a model file by its name, or damaged.
        StageError: it lies in a run and is not what was sealed there.
        BackendMissingError: the library that reads this format is not installed.
    """
    fmt = format_of(path)
    vouch(path, "graph")
    return Artifact(
        stage_id=str(path),
        kind=FILE_KIND,
        format=fmt,
        path=path,
        sha256=sha256_model(path),
        size_bytes=path.stat().st_size,
        spec=_spec_or_missing_backend(path, fmt),
        metrics={},
    )


def _spec_or_missing_backend(path: Path, fmt: Format) -> ModelSpec | None:
    try:
        return _spec(path, fmt)
    except ModuleNotFoundError as error:
        raise missing_backend(error.name or "compress", "train") from error


def _spec(path: Path, fmt: Format) -> ModelSpec | None:
    if fmt is Format.TORCH:
        from compress.models.weights import load_model

        return load_model(path)[1]
    if fmt is Format.ONNX:
        from compress.graph.metadata import spec_of
        from compress.graph.proto import load

        return spec_of(load(path), path)
    from compress.runtime.tflite_meta import read_spec

    return read_spec(path.read_bytes(), str(path))
