"""What becomes of one damaged file: each is tried in a process of its own, forked from one that has imported all."""

from __future__ import annotations

import os
import resource
import select
import signal
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from compress.errors import ImgcError

_FINE, _REFUSED, _UNFORESEEN = 0, 10, 11
_NAMES = {_FINE: "accepted", _REFUSED: "refused", _UNFORESEEN: "unforeseen"}
GOOD = ("accepted", "refused")


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        kind: "accepted", "refused" (with a message of ours), "unforeseen" (another exception), "crash" (a signal),
            "hang" (past the deadline) or "memory" (more than allowed).
        said: the message or traceback of an end that is not accepted.
        peak_bytes: resident memory at its peak.
    """

    kind: str
    said: str
    peak_bytes: int


def outcome_of(use: Callable[[], None], *, deadline_s: float, most_bytes: int) -> Outcome:
    """Run `use` in a forked process and return how it ended."""
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            _be_tried(use, said.fileno())
        status, usage = ended(pid, deadline_s)
        said.seek(0)
        text = said.read(4000).decode(errors="replace")
    peak_bytes = usage.ru_maxrss * 1024
    if status is None:
        return Outcome("hang", f"past {deadline_s} s", peak_bytes)
    if os.WIFSIGNALED(status):
        return Outcome("crash", signal.Signals(os.WTERMSIG(status)).name, peak_bytes)
    code = os.WEXITSTATUS(status)
    if peak_bytes > most_bytes:
        return Outcome("memory", f"{peak_bytes >> 20} MiB", peak_bytes)
    return Outcome(_NAMES.get(code, f"exit {code}"), text, peak_bytes)


def _be_tried(use: Callable[[], None], said: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(null, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = _FINE
    try:
        use()
    except ImgcError as error:
        code = _REFUSED
        os.write(said, error.message.encode(errors="replace"))
    except BaseException:
        code = _UNFORESEEN
        os.write(said, traceback.format_exc()[-4000:].encode(errors="replace"))
    finally:
        os._exit(code)


def ended(pid: int, deadline_s: float) -> tuple[int | None, resource.struct_rusage]:
    """Return a process's wait status, None where it had to be killed, and what it used."""
    descriptor = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([descriptor], [], [], deadline_s)
    finally:
        os.close(descriptor)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return (status if ready else None), usage
