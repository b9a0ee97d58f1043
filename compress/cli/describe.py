"""`imgc describe`: write into another tool's file what it does not say itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compress.cli.options import Labels, PreprocessText, parse_preprocess
from compress.cli.output import echo


def describe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .onnx or .tflite file of another tool.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The described file; of the same kind.")],
    preprocess: PreprocessText = None,
    labels: Labels = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes", metavar="FILE", help="Of a detector: JSON that names its raw tensors and their coding."
        ),
    ] = None,
) -> None:
    """Write into another tool's file how its images are prepared, its class names, and what a detector's numbers mean.

    Every verb then takes the written file without options: predict, evaluate, quantize, export, benchmark, serve.
    """
    from compress.cli.run_files import given_model
    from compress.core.box_outputs import BoxOutputs
    from compress.core.labels import labels_in
    from compress.core.storage import write_bytes
    from compress.errors import UsageError
    from compress.runtime.describe import described

    model = given_model(file, "look")
    if out.suffix.lower() != model.suffix.lower():
        raise UsageError(f"--out {out}: {file} stays what it is", hint=f"give a name that ends in {model.suffix}")
    if out.exists() and out.samefile(model):
        raise UsageError(f"--out {out}: is the file itself", hint="give another name; nothing is overwritten")
    found = BoxOutputs.read(boxes) if boxes else None
    prepared = parse_preprocess(preprocess, None if found else model)
    content, spec = described(model, prepared, labels_in(labels) if labels else None, found)
    write_bytes(out, content)
    what = f"boxes of {spec.num_classes} classes" if spec.boxes else f"{spec.num_classes} classes"
    echo(f"wrote {out}: {what}, images of {spec.preprocess.crop_px} px, {spec.precision}")
    echo(f"now: imgc evaluate {out} --data DIR, or imgc serve {out}")
