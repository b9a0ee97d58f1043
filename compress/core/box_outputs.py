"""`BoxOutputs`: what a detector's file of another tool does not say itself, as a user writes it down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compress.core.boxes import BoxCoding
from compress.core.names import few
from compress.core.preprocess import Fit
from compress.core.regular_file import MAX_JSON_BYTES, read_regular
from compress.errors import UsageError

_SHOWN = 12  # outputs that a message names
_HINT = (
    'for example {"boxes": "raw_boxes", "logits": "raw_scores", "coding": {"maps": [{"rows": 10, "columns": 10, '
    '"sizes": [[0.2, 0.2]]}]}}; docs/reference/file-fields.md lists the fields of `coding`'
)


def no_such_tensor(where: object, name: str, outputs: Sequence[str]) -> UsageError:
    """Return the error for a tensor that a file is said to make and does not."""
    return UsageError(
        f"{where}: no tensor '{name}' is made in it; its outputs are {few(outputs, _SHOWN)}",
        hint="`imgc inspect FILE` lists the outputs; a tensor within the graph is allowed too",
    )


class BoxOutputs(BaseModel):
    """The tensors of a file that hold its raw boxes and scores, and what these numbers mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    boxes: str = Field(min_length=1, max_length=1024, description="Name of the tensor of raw boxes, [N, A, 4].")
    logits: str = Field(min_length=1, max_length=1024, description="Name of the tensor of scores, [N, A, K].")
    coding: BoxCoding = Field(description="What the numbers mean.")
    fit: Fit = Field(default="stretch", description="How an image becomes the network's square.")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what a JSON file says.

        Raises:
            UsageError: it cannot be read, or says something else; the field is named.
        """
        try:
            return cls.model_validate_json(read_regular(path, MAX_JSON_BYTES))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read ({error.strerror})", hint=_HINT) from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}", hint=_HINT) from None
