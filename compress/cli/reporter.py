"""`ConsoleReporter`: what stages say, on stderr. Bars on a terminal, plain lines elsewhere.

Plain lines begin with `info: `, `warning: ` or `progress: `; a progress line reads
`progress: LABEL DONE/TOTAL PERCENT% RATE/s eta SECONDSs NOTE`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING

from compress.core.stage import Advance, Reporter, SilentReporter
from compress.core.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PLAIN_INTERVAL_S = 10.0  # a log file wants a sign of life, not a line a batch


def make_reporter(*, quiet: bool, stream: IO[str] | None = None) -> Reporter:
    """Return the reporter for a stream (default stderr): silent, with bars, or with plain lines."""
    stream = stream or sys.stderr
    if quiet or stream is None:  # Python has no stderr where it was started with a closed one
        return SilentReporter()
    return ConsoleReporter(stream) if stream.isatty() else PlainReporter(stream)


class _Once:
    """Tells what was not said yet: each stage of a chain looks at the same images and would say the same of them."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def is_new(self, text: str) -> bool:
        if text in self._said:
            return False
        self._said.add(text)
        return True


class PlainReporter:
    """One parseable line at a time, for logs and pipes; what was said is not said again."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._once = _Once()

    def info(self, text: str) -> None:
        """Write an `info:` line."""
        if self._once.is_new(text):
            self._line(f"info: {text}")

    def warn(self, text: str) -> None:
        """Write a `warning:` line."""
        if self._once.is_new(text):
            self._line(f"warning: {text}")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """Write a `progress:` line every ten seconds and one at the end."""
        counter = _Counter(label, total)
        last_s = counter.begun_s

        def advance(done: int = 1, note: str = "") -> None:
            nonlocal last_s
            counter.add(done, note)
            if time.monotonic() - last_s >= PLAIN_INTERVAL_S:
                last_s = time.monotonic()
                self._line(counter.line())

        yield advance
        self._line(counter.line())

    def _line(self, text: str) -> None:
        self._stream.write(visible(text, keep="\n") + "\n")
        self._stream.flush()


class _Counter:
    """Counts units and tells rate and remaining time."""

    def __init__(self, label: str, total: int) -> None:
        self.begun_s = time.monotonic()
        self._label, self._total, self._done, self._note = label, total, 0, ""

    def add(self, done: int, note: str) -> None:
        self._done += done
        self._note = note or self._note

    def line(self) -> str:
        seconds = max(time.monotonic() - self.begun_s, 1e-9)
        rate = self._done / seconds
        percent = 100 * self._done / self._total if self._total else 100.0
        eta = f"{(self._total - self._done) / rate:.0f}s" if rate else "unknown"
        return (
            f"progress: {self._label} {self._done}/{self._total} {percent:.0f}% {rate:.1f}/s eta {eta} {self._note}"
        ).rstrip()


class ConsoleReporter:
    """Rich progress bars with rate and remaining time, for people at a terminal; what was said is not said again."""

    def __init__(self, stream: IO[str]) -> None:
        """Draw on `stream`, which must be a terminal."""
        from rich.console import Console

        self._console: Console = Console(file=stream, highlight=False, emoji=False)
        self._bars: Progress | None = None
        self._once = _Once()

    def info(self, text: str) -> None:
        """Print a line above the bars."""
        if self._once.is_new(text):
            self._console.print(visible(text, keep="\n"), markup=False)

    def warn(self, text: str) -> None:
        """Print a yellow line above the bars."""
        if self._once.is_new(text):
            self._console.print(visible(f"warning: {text}", keep="\n"), style="yellow", markup=False)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Show a bar; a bar within a bar joins the same display, since a terminal has room for one."""
        return self._bar(label, total)

    @contextmanager
    def _bar(self, label: str, total: int) -> Iterator[Advance]:
        outermost = self._bars is None
        bars = self._bars or _new_bars(self._console)
        if outermost:
            self._bars = bars
            bars.start()
        task = bars.add_task(visible(label), total=total, note="")

        def advance(done: int = 1, note: str = "") -> None:
            bars.update(task, advance=done)
            if note:
                bars.update(task, note=visible(note))

        try:
            yield advance
        finally:
            bars.remove_task(task)
            if outermost:
                bars.stop()
                self._bars = None


def _new_bars(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: object) -> Text:
            speed = getattr(task, "finished_speed", None) or getattr(task, "speed", None)
            return Text(f"{speed:.1f}/s" if speed else "", style="cyan")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, console=console, transient=True)
