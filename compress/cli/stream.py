"""`imgc predict` over a stream: a folder, a video or a camera.

On a terminal one line shows the newest answer; elsewhere each frame is a line, and the last line is the summary:
`summary: frames=N seconds=S fps_sustained=F decode_p50_ms=D ...`, or with `--json` `{"summary": {...}}`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from compress.cli.output import echo
from compress.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from compress.core.spec import ModelSpec
    from compress.core.stage import Reporter
    from compress.data.frames import Frames
    from compress.runtime.predictor import Floats
    from compress.runtime.stream import FrameResult, Meter, Summary

A = TypeVar("A")

_Row = dict[str, object]  # index, label and score of a class; of a detector, also its box

_REDRAW_S = 0.1
_SOURCES = "give images, one folder, --dir DIR, --video FILE or --camera INDEX"


@dataclass(frozen=True)
class StreamSource:
    """A stream that was asked for; `newest`: a camera, whose frames are dropped while the model is busy."""

    open: Callable[[int | None], Frames]  # by the side below which images need not be decoded whole
    newest: bool = False


@dataclass(frozen=True)
class StreamModel(Generic[A]):
    """What answers a stream.

    Attributes:
        spec: of the file.
        ask: images_NCHW of a frame, and that -> the answer.
        rows: an answer -> its rows, best first.
        key: name of the rows in JSON.
        shown: what else is done with each frame; drawn images.
    """

    spec: ModelSpec
    ask: Callable[[Floats, Image.Image], A]
    rows: Callable[[A], list[_Row]]
    key: str
    shown: Callable[[FrameResult[A]], None] = lambda _: None


def stream_source(
    images: list[Path], camera: str | None, video: Path | None, folder: Path | None
) -> StreamSource | None:
    """Return the stream that the command line asks for, None where it names images.

    Raises:
        UsageError: nothing to classify, or more than one source.
    """
    from compress.data.frames import camera_frames, folder_frames, video_frames

    given = [bool(images), camera is not None, video is not None, folder is not None]
    if sum(given) != 1:
        raise UsageError("more than one source" if any(given) else "nothing to classify", hint=_SOURCES)
    if camera is not None:
        return StreamSource(lambda _: camera_frames(camera), newest=True)
    if video is not None:
        return StreamSource(lambda _: video_frames(video))
    inside = folder or next((image for image in images if image.is_dir()), None)
    if inside is None:
        return None
    if len(images) > 1:
        raise UsageError(f"{inside}: a folder among images", hint=_SOURCES)
    return StreamSource(lambda draft_px: folder_frames(inside, draft_px))


def predict_stream(source: StreamSource, model: StreamModel[A], view: StreamView) -> None:
    """Answer until the source ends, or Ctrl-C; show every answer, and the summary once there was one.

    Raises:
        DataError: the source cannot be opened, is lost, or had images that were skipped.
    """
    import numpy as np
    from PIL import Image

    from compress.data.decode import BadImageError
    from compress.data.transforms import draft_px
    from compress.runtime.stream import DoubleBuffer, Meter, answers, prepare

    spec = model.spec
    # a detector's boxes count in pixels of the whole image
    prepared = prepare(source.open(None if spec.boxes else draft_px(spec.preprocess)), spec.preprocess)
    blank = np.zeros((1, *spec.input_chw), dtype=np.float32)
    model.ask(blank, Image.new("RGB", (1, 1)))  # the first call is slow; it is not counted
    buffer = DoubleBuffer(prepared, newest=source.newest)
    meter = Meter()
    with view, buffer, _ctrl_c(buffer.stop) as interrupted:
        try:
            for answer in answers(buffer, model.ask, meter):
                rows = None if isinstance(answer.answer, BadImageError) else model.rows(answer.answer)
                model.shown(answer)
                view.show(answer, rows, meter, buffer.dropped)
        finally:
            if meter.frames + meter.skipped:
                view.end(meter.summary(buffer.dropped))
    if meter.skipped and not interrupted:
        total = meter.frames + meter.skipped
        raise DataError(f"{meter.skipped} of {total} images were skipped", hint="replace or remove them")


@contextmanager
def _ctrl_c(stop: Callable[[], None]) -> Iterator[list[bool]]:
    """Let the first Ctrl-C call `stop` and the second one interrupt; the list is not empty after the first."""
    before = signal.getsignal(signal.SIGINT)
    pressed: list[bool] = []

    def on_first(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        pressed.append(True)
        stop()

    signal.signal(signal.SIGINT, on_first)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class StreamView(Protocol):
    """How the results of a stream are shown."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the terminal as it was."""

    def show(self, answer: FrameResult[Any], rows: list[_Row] | None, meter: Meter, dropped: int) -> None:
        """Show one answer; `rows` is None where the frame could not be decoded."""

    def end(self, summary: Summary) -> None:
        """Show the summary."""


def make_view(reporter: Reporter, *, key: str = "predictions", as_json: bool, quiet: bool) -> StreamView:
    """Return the view for JSON, in which a frame's rows have the name `key`, for a terminal, or for a pipe."""
    if as_json:
        return JsonView(key)
    if not quiet and sys.stdout.isatty() and sys.stderr.isatty():
        return LiveView()
    return PlainView(reporter)


class _Still:
    """A view that has nothing to begin and nothing to leave."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None


class JsonView(_Still):
    """JSON lines on stdout: one a frame, then the summary."""

    def __init__(self, key: str) -> None:
        """Name the rows of a frame."""
        self._key = key

    def show(self, answer: FrameResult[Any], rows: list[_Row] | None, meter: Meter, dropped: int) -> None:
        """Print one line; a frame that could not be decoded has an `error` instead of rows."""
        line: dict[str, object] = {"frame": meter.frames + meter.skipped - 1, "name": answer.name}
        if rows is not None:
            line |= {self._key: rows, "decode_ms": answer.decode_ms, "infer_ms": answer.infer_ms}
        else:
            line["error"] = str(answer.answer)
        line["dropped"] = dropped
        echo(json.dumps(line, allow_nan=False))

    def end(self, summary: Summary) -> None:
        """Print the summary as one line."""
        echo(json.dumps({"summary": asdict(summary)}, allow_nan=False))


class PlainView(_Still):
    """Text for pipes and logs: `NAME: label score, ...` on stdout, skipped frames on stderr."""

    def __init__(self, reporter: Reporter) -> None:
        """Warn through `reporter`."""
        self._reporter = reporter

    def show(self, answer: FrameResult[Any], rows: list[_Row] | None, meter: Meter, dropped: int) -> None:
        """Print one line."""
        if rows is not None:
            echo(f"{answer.name}: {_scores(rows)}")
        else:
            self._reporter.warn(f"{answer.answer}; skipped")

    def end(self, summary: Summary) -> None:
        """Print the summary as one line of key=value."""
        echo("summary: " + " ".join(f"{key}={value}" for key, value in _facts(summary)))


class LiveView:
    """A line on stderr that is drawn again and again; the summary goes to stdout."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn_s = -_REDRAW_S

    def __enter__(self) -> Self:
        """Take the line."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give the line back."""
        self._live.stop()

    def show(self, answer: FrameResult[Any], rows: list[_Row] | None, meter: Meter, dropped: int) -> None:
        """Draw the answer, at most ten times a second; a skipped frame stays above the line."""
        from rich.text import Text

        if rows is None:
            self._live.console.print(f"warning: {answer.answer}; skipped", style="yellow")
        elif time.monotonic() - self._drawn_s >= _REDRAW_S:
            self._drawn_s = time.monotonic()
            self._live.update(Text(live_line(rows, meter, dropped)), refresh=True)

    def end(self, summary: Summary) -> None:
        """Print the summary as a table."""
        from compress.cli.output import print_facts

        self._live.stop()
        print_facts("", _facts(summary))


def live_line(rows: list[_Row], meter: Meter, dropped: int) -> str:
    """Return what a terminal shows: the best class, the frame rate of now, what the model takes."""
    infer = meter.infer_ms()
    return (
        f"{_scores(rows[:1])} | {meter.fps_now():.1f} frames/s"
        f" | infer p50 {_number(infer.p50)}, p95 {_number(infer.p95)} ms"
        f" | {meter.frames} frames" + (f", {dropped} dropped" if dropped else "")
    )


def _scores(rows: list[_Row]) -> str:
    return ", ".join(f"{row['label']} {row['score']:.3f}" for row in rows) or "no box"


def _facts(summary: Summary) -> list[tuple[str, object]]:
    """Return the summary as names, units last, and short numbers."""
    facts: list[tuple[str, object]] = []
    for name, value in asdict(summary).items():
        if isinstance(value, dict):
            quantity, unit = name.rsplit("_", 1)
            facts += [(f"{quantity}_{quantile}_{unit}", _number(number)) for quantile, number in value.items()]
        else:
            facts.append((name, value if isinstance(value, int) else f"{value:.2f}"))
    return facts


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
