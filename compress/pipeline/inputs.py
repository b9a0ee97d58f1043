"""A model file given by name -> an artifact that a stage can read like any other."""

from __future__ import annotations

from pathlib import Path

from compress.core.artifact import Artifact
from compress.core.digest import sha256_file
from compress.core.formats import Format, format_of
from compress.core.spec import ModelSpec

FILE_KIND = "file"


def file_artifact(path: Path) -> Artifact:
    """Return a model file as an artifact; its id is its path, its spec None when the file carries none.

    Raises:
        ModelFileError: not a model file by its name, or damaged.
        BackendMissingError: the library that reads this format is not installed.
    """
    fmt = format_of(path)
    return Artifact(
        stage_id=str(path),
        kind=FILE_KIND,
        format=fmt,
        path=path,
        sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        spec=_spec(path, fmt),
        metrics={},
    )


def _spec(path: Path, fmt: Format) -> ModelSpec | None:
    if fmt is Format.TORCH:
        from compress.models.weights import load_model

        return load_model(path)[1]
    if fmt is Format.ONNX:
        import onnx

        from compress.models.onnx_meta import spec_of

        return spec_of(onnx.load(path, load_external_data=False), path)
    from compress.runtime.tflite_meta import read_spec

    return read_spec(path.read_bytes(), str(path))
