"""Failures on their way to the terminal: `error:` and `hint:` on stderr and an exit code, never a traceback unasked.

Exit codes: 0 done, 2 recipe, usage or data, 3 backend missing, 4 stage failed or anything unforeseen, 5 gate failed,
128 and the signal's number where one ended the command: 130 SIGINT (Ctrl-C), 143 SIGTERM, 129 SIGHUP.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from compress.errors import ImgcError, missing_backend

SIGNALLED = 128  # and the signal's number, as shells count
INTERRUPTED = SIGNALLED + signal.SIGINT
UNFORESEEN = 4
_ENDING = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
GRACE_S = 30.0  # from such a signal to the end of a command that does not come back from a library

# Top-level module -> the extra of pyproject.toml that installs it (the smallest one that does).
EXTRA_OF_MODULE = {
    "onnxruntime": "serve",
    "ai_edge_litert": "serve",
    "flatbuffers": "serve",
    "fastapi": "serve",
    "uvicorn": "serve",
    "torch": "train",
    "torchvision": "train",
    "timm": "train",
    "torch_pruning": "train",
    "safetensors": "train",
    "onnx": "train",
    "onnxscript": "train",
    "tensorboard": "train",
    "tensorflow": "tensorflow",
    "tf_keras": "tensorflow",
    "onnx2tf": "tensorflow",
    "av": "video",
}


class EndedBySignal(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what runs ends as after Ctrl-C, with what it made kept."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__()
        self.number = number


@contextmanager
def ending_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs inside as Ctrl-C does; one that is ignored, as by nohup, stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        raise EndedBySignal(number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    ours = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        with _ended_in_the_end(end):
            yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _above_the_streams(descriptor: int) -> int:
    """Return it, or another of the same where it took the number of a standard stream that was closed."""
    if descriptor > 2:
        return descriptor
    import fcntl  # not on Windows

    other = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return other


@contextmanager
def _ended_in_the_end(handler: object) -> Iterator[None]:
    """End the process where a signal's handler has no turn: Python runs it between its own steps, never in a library.

    A graph without end in ONNX Runtime is such a place. The number comes through the pipe that Python writes at once.
    Who has put another handler in place of ours, as a server that drains, ends in its own time.
    """
    reader, writer = map(_above_the_streams, os.pipe())
    os.set_blocking(writer, False)
    over = threading.Event()

    def watch() -> None:
        while got := os.read(reader, 1):
            if signal.getsignal(got[0]) is handler and not over.wait(GRACE_S):
                os._exit(SIGNALLED + got[0])
        os.close(reader)

    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, name="imgc-signals", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(old)
        os.close(writer)


class ImgcGroup(TyperGroup):
    """The root command: every exception of a command body ends here."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own types are private
        """Run the chosen command; turn what it raises into a message and an exit code."""
        try:
            with ending_signals():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise  # Typer prints its own usage errors
        except BrokenPipeError:
            raise  # `imgc ... | head`: Typer ends quietly
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug"):
                traceback.print_exc()
            text, code = describe(error)
            with suppress(OSError):  # a terminal that hung up takes no more text
                typer.echo(text, err=True)
            raise typer.Exit(code) from None


def describe(error: BaseException) -> tuple[str, int]:
    """Return the text for stderr and the exit code of an exception."""
    if isinstance(error, ModuleNotFoundError) and (known := _missing_extra(error)):
        error = known
    if isinstance(error, ImgcError):
        return _lines(error.message, error.hint), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        again = "run the same command again: sealed stages are reused and training goes on from its last checkpoint"
        if isinstance(error, EndedBySignal):
            return _lines(f"ended by {signal.Signals(error.number).name}", again), SIGNALLED + error.number
        return _lines("interrupted", again), INTERRUPTED
    if isinstance(error, OSError) and error.strerror:
        return _lines(_os_message(error), _OS_HINTS.get(error.errno or 0, "")), UNFORESEEN
    first_line = str(error).strip().split("\n", 1)[0] or "no message"
    return _lines(f"unforeseen {type(error).__name__}: {first_line}", _debug_hint(sys.argv[1:])), UNFORESEEN


_OS_HINTS = {
    errno.ENOSPC: "free some disk space, or put the runs elsewhere with --runs-dir",
    errno.EACCES: "choose a folder you may write to with --runs-dir, or change the permissions",
    errno.EROFS: "that disk is read-only; choose another folder with --runs-dir",
}


def _os_message(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _missing_extra(error: ModuleNotFoundError) -> ImgcError | None:
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    return missing_backend(module, extra) if extra else None


def _lines(message: str, hint: str) -> str:
    from compress.core.visible import visible

    return visible(f"error: {message}" + (f"\nhint: {hint}" if hint else ""), keep="\n")


def _debug_hint(arguments: Sequence[str]) -> str:
    return f"run with --debug to see where: imgc --debug {' '.join(arguments)}".rstrip()
