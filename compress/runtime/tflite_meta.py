"""What a TFLite file says of itself: metadata buffers such as `imgc.spec`, and labels.txt as TFLite keeps it.

TFLite's own convention appends a zip archive with `labels.txt` to the flatbuffer (readers ignore what follows the
flatbuffer), so `unzip model.tflite labels.txt` works too. Reading needs only flatbuffers and the schema.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from compress.core.spec import SPEC_KEY, ModelSpec
from compress.errors import ModelFileError, missing_backend

_ALIGN = 16  # the schema's force_align of buffers; kernels may read constants with aligned loads
_FILE_IDENTIFIER = b"TFL3"
# what flatbuffers raises where an offset points outside the file
_DAMAGE = (struct.error, IndexError, TypeError, ValueError, OverflowError, UnicodeDecodeError)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the least a zip can say: equal models have equal bytes


def schema() -> Any:  # noqa: ANN401 - a module of generated classes without types
    """Return the generated TFLite schema.

    Raises:
        BackendMissingError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise missing_backend("ai_edge_litert", "serve") from error
    return schema_py_generated


def unpack(data: bytes, name: str = "model.tflite") -> Any:  # noqa: ANN401 - ModelT has no types
    """Return the `ModelT` object tree of a TFLite file's bytes.

    Raises:
        ModelFileError: the bytes are not a TFLite flatbuffer.
    """
    _require_tflite(data, name)
    try:
        return schema().ModelT.InitFromPackedBuf(data, 0)
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def pack(model: Any) -> bytes:  # noqa: ANN401 - ModelT has no types
    """Return the bytes of a `ModelT`, with every buffer aligned to 16 bytes as the schema demands."""
    import flatbuffers

    tfl = schema()

    class AlignedBuffer(tfl.BufferT):  # type: ignore[name-defined,misc]
        """A buffer whose data starts at a multiple of 16 bytes; the generated class aligns it to 4."""

        def Pack(self, builder: Any) -> Any:  # noqa: ANN401, N802 - the schema's name
            if self.data is None or len(self.data) == 0:
                tfl.BufferStart(builder)
                return tfl.BufferEnd(builder)
            content = np.ascontiguousarray(self.data, np.uint8).tobytes()
            builder.StartVector(1, len(content), _ALIGN)
            builder.head = builder.Head() - len(content)
            builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
            data = builder.EndVector()
            tfl.BufferStart(builder)
            tfl.BufferAddData(builder, data)
            return tfl.BufferEnd(builder)

    model.buffers = [AlignedBuffer(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())


def embed_spec(data: bytes, spec: ModelSpec, others: Mapping[str, str] | None = None) -> bytes:
    """Return the same model with the spec and other texts, by key, in its metadata, and labels.txt appended.

    Raises:
        ModelFileError: the bytes are not a TFLite flatbuffer.
    """
    tfl = schema()
    model = unpack(data)
    texts = {SPEC_KEY: spec.model_dump_json(), **(others or {})}
    model.metadata = [entry for entry in model.metadata or [] if text_of(entry.name) not in texts]
    for key, text in texts.items():
        entry, buffer = tfl.MetadataT(), tfl.BufferT()
        entry.name, entry.buffer = key, len(model.buffers)
        buffer.data = np.frombuffer(text.encode(), np.uint8)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    return pack(model) + _labels_zip(spec.labels)


def read_spec(data: bytes, name: str = "model.tflite") -> ModelSpec | None:
    """Return the spec that a TFLite file carries, or None where it carries none.

    Raises:
        ModelFileError: the bytes are not a TFLite flatbuffer, or the spec in it cannot be read.
    """
    _require_tflite(data, name)
    try:
        content = _metadata(schema().Model.GetRootAs(data, 0))
        return None if content is None else ModelSpec.model_validate_json(content)
    except ValidationError as error:
        raise ModelFileError(f"{name}: the spec in its metadata cannot be read: {error}") from error
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def _metadata(model: Any) -> bytes | None:  # noqa: ANN401 - generated class
    """Return the content of the metadata buffer with our key."""
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if text_of(entry.Name()) == SPEC_KEY:
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    return None


def _damaged(name: str, error: Exception) -> ModelFileError:
    return ModelFileError(f"{name}: a damaged TFLite file ({error})", hint="export or copy the file again")


def _require_tflite(data: bytes, name: str) -> None:
    if len(data) < 8 or data[4:8] != _FILE_IDENTIFIER:
        raise ModelFileError(f"{name}: not a TFLite file (found no identifier TFL3 at byte 4)")


def _labels_zip(labels: tuple[str, ...]) -> bytes:
    """Return a zip archive with one stored file, labels.txt, one class name a line."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        file.writestr(zipfile.ZipInfo("labels.txt", _ZIP_DATE), "\n".join(labels) + "\n")
    return archive.getvalue()


def text_of(value: bytes | str | None) -> str:
    """Return a string of the schema, which the library gives as bytes, as text or not at all."""
    return value.decode() if isinstance(value, bytes) else value or ""
