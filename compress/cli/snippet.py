"""`imgc snippet`: the program that runs a model file somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import Labels, PreprocessText, parse_preprocess
from compress.cli.output import echo


def snippet(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx or .tflite file.")],
    language: Annotated[
        str, typer.Option("--for", metavar="LANGUAGE", help="python, raspberry-pi, android, ios, c++, node or browser.")
    ] = "python",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of stdout.")] = None,
    preprocess: PreprocessText = None,
    labels: Labels = None,
) -> None:
    """Write a short program that loads a model file, prepares an image as in training and prints what it finds.

    That is the best labels, or of a detector label, score and box (left, top, right, bottom in pixels of the upright
    image). The programs for python, raspberry-pi, node and browser are run by imgc's tests; those for android, ios and
    c++ are not compiled there.
    """
    from compress.cli.predict_boxes import require_none
    from compress.cli.run_files import given_model
    from compress.core.labels import labels_in
    from compress.core.storage import write_text
    from compress.errors import UsageError
    from compress.runtime.detector import Detector, is_detector, open_detector
    from compress.runtime.open import open_predictor
    from compress.runtime.predictor import Predictor
    from compress.snippets.write import LANGUAGES, snippet

    known = next((one for one in LANGUAGES if one == language), None)
    if known is None:
        raise UsageError(f"--for {language}: unknown; there are {', '.join(LANGUAGES)}")
    model: Detector | Predictor
    if is_detector(given_model(file)):
        require_none(preprocess=preprocess, labels=labels)
        model = open_detector(file)
    else:
        model = open_predictor(
            file,
            preprocess=parse_preprocess(preprocess, file),
            labels=labels_in(labels) if labels else None,
        )
    text = snippet(model, known)
    if out is None:
        echo(text.rstrip())
        return
    write_text(out, text)
    echo(f"wrote {out}; it expects {file.name} beside it")
