"""`imgc predict` on images one by one: a bad one does not cost the answers to the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compress.cli.output import echo, print_json
from compress.errors import DataError

Answer = tuple[dict[str, object], str]  # fields for JSON, and the same in words


def print_answers(images: list[Path], model: Path, answer: Callable[[Path], Answer], *, as_json: bool) -> None:
    """Print the answer to each image.

    Args:
        images: files.
        model: what answers.
        answer: returns what is found in a file.
        as_json: whether all answers are printed as one JSON object, in the end.

    Raises:
        DataError: an image cannot be used; the others are answered before.
    """
    from compress.data.decode import BadImageError

    answers: list[dict[str, object]] = []
    faults: list[BadImageError] = []
    for image in images:
        try:
            fields, words = answer(image)
        except BadImageError as fault:
            if len(images) == 1:
                raise
            faults.append(fault)
            answers.append({"image": str(image), "error": fault.reason})
            continue
        answers.append({"image": str(image), **fields})
        if not as_json:
            echo(f"{image}: {words}")
    if as_json:
        print_json({"model": str(model), "images": answers})
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise DataError(f"{len(faults)} of {len(images)} images were not answered:{listed}", hint="replace the files")
