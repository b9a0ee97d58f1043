"""Commands on one model file of any format: `evaluate predict inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.options import (
    RUNS,
    AsJson,
    Device,
    Labels,
    PreprocessText,
    Run,
    RunsDir,
    Threads,
    global_options,
    parse_preprocess,
    reporter_of,
)
from compress.cli.output import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.cli.inspect_file import FileFacts
    from compress.cli.predict_images import Answer
    from compress.cli.stream import StreamModel
    from compress.runtime.predictor import Floats, Predictor

DEFAULT_TOP_K = 5
ModelFile = Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors, .onnx or .tflite file.")]


def evaluate(
    ctx: typer.Context,
    file: ModelFile,
    data: Annotated[
        Path, typer.Option("--data", help="Class folders (a test/ split is used if there), CSV, or images with boxes.")
    ],
    threads: Threads = 1,
    device: Device = "cpu",
    preprocess: PreprocessText = None,
    labels: Labels = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", metavar="FILE", help="Another model file to compare with.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the accuracy of a model file on labelled images: top-1, or a detector's mAP on images with boxes."""
    from compress.cli.output import print_json
    from compress.cli.predict_boxes import require_none
    from compress.cli.run_files import given_model
    from compress.core.labels import labels_in
    from compress.pipeline.own_images import own_test_split
    from compress.runtime.detector import is_detector
    from compress.runtime.evaluate_file import as_json_data, evaluate_file, texts

    if is_detector(given_model(file)):
        require_none(baseline=baseline, preprocess=preprocess, labels=labels)
        _evaluate_detector(ctx, file, data, threads, device, as_json)
        return
    own = own_test_split(file, data, reporter_of(ctx))
    found = evaluate_file(
        file,
        given_model(baseline) if baseline else None,
        data,
        threads=threads,
        device=device,
        preprocess=parse_preprocess(preprocess, file),
        labels=labels_in(labels) if labels else None,
        split=own.split if own else None,
        reporter=reporter_of(ctx),
    )
    if as_json:
        print_json(as_json_data(found))
        return
    for text in texts(found):
        echo(text)


def _evaluate_detector(ctx: typer.Context, file: Path, data: Path, threads: int, device: str, as_json: bool) -> None:
    from compress.cli.output import print_json
    from compress.runtime.detector import open_detector
    from compress.runtime.evaluate_detector import as_json_data, evaluate_detector, texts

    found = evaluate_detector(open_detector(file, threads=threads, device=device), data, reporter_of(ctx))
    if as_json:
        print_json(as_json_data(found))
        return
    for text in texts(found):
        echo(text)


def predict(
    ctx: typer.Context,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="[IMAGE...|DIR]", help="Images to answer for, or one folder.")
    ] = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", metavar="INDEX|DEVICE|URL", help="Classify a camera's newest frame, until Ctrl-C."),
    ] = None,
    video: Annotated[Path | None, typer.Option("--video", metavar="FILE", help="Classify every frame.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Classify every image in a folder and below it.")
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Model file. Default: the run's newest.")] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, max=1000, help="Answers for each image. [5]")] = None,
    draw: Annotated[
        Path | None, typer.Option("--draw", metavar="DIR", help="Write each image with its boxes here (detectors).")
    ] = None,
    run: Run = None,
    runs_dir: RunsDir = RUNS,
    threads: Threads = 1,
    device: Device = "cpu",
    preprocess: PreprocessText = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Classify images or find boxes in them, one by one or as a stream: a folder, a video, a camera.

    Of a stream the next frame is decoded while this one is inferred. With --json each frame is a line of JSON, and the
    last line holds the summary.
    """
    from compress.cli.predict_boxes import found_by, require_none, stream_of
    from compress.cli.predict_images import print_answers
    from compress.cli.run_files import given_model, newest_model
    from compress.cli.stream import make_view, predict_stream, stream_source
    from compress.core.labels import labels_in
    from compress.errors import UsageError
    from compress.runtime.detector import is_detector, open_detector
    from compress.runtime.open import open_predictor

    source = stream_source(images or [], camera, video, folder)
    file = given_model(model) if model else newest_model(run, runs_dir)
    if is_detector(file):
        require_none(preprocess=preprocess, labels=labels, top_k=top_k)
        detector = open_detector(file, threads=threads, device=device)
        if source is None:
            print_answers(images or [], file, found_by(detector, draw), as_json=as_json)
            return
        view = make_view(reporter_of(ctx), key="detections", as_json=as_json, quiet=global_options(ctx).quiet)
        predict_stream(source, stream_of(detector, draw), view)
        return
    if draw is not None:
        raise UsageError(f"--draw: {file} names images and finds no boxes", hint="leave --draw out")
    top_k = DEFAULT_TOP_K if top_k is None else top_k
    predictor = open_predictor(
        file,
        threads=threads,
        device=device,
        preprocess=parse_preprocess(preprocess, file),
        labels=labels_in(labels) if labels else None,
    )
    if preprocess is not None and predictor.spec.arch != "foreign":
        reporter_of(ctx).warn(f"{file}: says itself how images are prepared; --preprocess is not used")
    if not as_json:
        reporter_of(ctx).info(f"model {file} ({predictor.runtime})")
    if source:
        view = make_view(reporter_of(ctx), as_json=as_json, quiet=global_options(ctx).quiet)
        predict_stream(source, _stream_of(predictor, top_k), view)
    else:
        print_answers(images or [], file, _classified(predictor, top_k), as_json=as_json)


def _classified(predictor: Predictor, top_k: int) -> Callable[[Path], Answer]:
    from compress.data.transforms import preprocess_files
    from compress.serve.core.work import predictions

    def answer(image: Path) -> Answer:
        logits_NK = predictor.predict(preprocess_files([image], predictor.spec.preprocess))
        rows = [one.as_json() for one in predictions(logits_NK[0], predictor.spec, top_k)]
        return {"predictions": rows}, ", ".join(f"{row['label']} {row['score']:.3f}" for row in rows)

    return answer


def _stream_of(predictor: Predictor, top_k: int) -> StreamModel[Floats]:
    from compress.cli.stream import StreamModel
    from compress.serve.core.work import predictions

    def rows(logits_K: Floats) -> list[dict[str, object]]:
        return [dict(one.as_json()) for one in predictions(logits_K, predictor.spec, top_k)]

    return StreamModel(predictor.spec, lambda images_NCHW, _: predictor.predict(images_NCHW)[0], rows, "predictions")


def inspect(file: ModelFile, as_json: AsJson = False) -> None:
    """Show what a model file holds: spec, operators, layers."""
    from compress.cli.inspect_file import inspect_file
    from compress.cli.output import print_json
    from compress.cli.run_files import given_model

    facts = inspect_file(given_model(file, "look"))
    if as_json:
        print_json(facts.model_dump(mode="json"))
        return
    _print_facts(facts)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _print_facts(facts: FileFacts) -> None:
    from compress.cli.output import print_facts, print_table, size_text

    rows: list[tuple[str, object]] = [
        ("format", facts.format.value),
        ("size", f"{size_text(facts.size_bytes)} ({facts.size_bytes} bytes)"),
        ("sha256", facts.sha256),
    ]
    if spec := facts.spec:
        rows += [
            ("arch", spec.arch),
            ("precision", spec.precision.value),
            ("input", f"{spec.layout}, {' x '.join(map(str, spec.input_chw))} (C x H x W)"),
            (
                "labels",
                f"{spec.num_classes}: {', '.join(spec.labels[:12])}" + (" ..." if len(spec.labels) > 12 else ""),
            ),
            ("preprocess", spec.preprocess.model_dump_json()),
            ("params", f"{spec.params:,}"),
            ("macs", f"{spec.macs:,}"),
            ("rewrites", ", ".join(spec.rewrites) or "none"),
        ]
    else:
        rows.append(("spec", "none: made by another tool"))
    if facts.outputs_are:
        rows.append(("answers with", facts.outputs_are))
    rows += [(f"becomes {what}", answer) for what, answer in facts.prospects.items()]
    print_facts(str(facts.path), rows)
    if facts.inputs:
        ports = [("in", one) for one in facts.inputs] + [("out", one) for one in facts.outputs]
        cells = [
            (way, one.name, one.dtype, " x ".join(map(str, one.shape)), _or_dash(one.scale), _or_dash(one.zero_point))
            for way, one in ports
        ]
        print_table("", ("", "name", "type", "shape", "scale", "zero point"), cells, left=4)
    if facts.weight_bytes:
        print_table("", ("weights", "bytes"), facts.weight_bytes.items())
    if facts.ops:
        print_table("", ("operator", "count"), facts.ops.items())
    if facts.spec and facts.spec.layers:
        layers = [(row.name, row.kind, row.in_features, row.out_features, row.groups) for row in facts.spec.layers]
        print_table("", ("layer", "kind", "in", "out", "groups"), layers, left=2)
