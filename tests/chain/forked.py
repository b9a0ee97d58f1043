"""`imgc` in processes of its own, forked off one that has imported torch: their start costs no seconds.

The forks share their exports with the session and, unlike processes begun anew, Python's hash seed with each other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.exports import shared_exports

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.chain.preload"])
_LONG_S = 240.0  # never waited for unless something is broken


@dataclass(frozen=True)
class Death:
    """When a process kills itself, or stops: as it is about to put a file in its place, for the `count`th time.

    Attributes:
        folder: part of the path of the file's folder.
        file: its name; empty: any.
        count: from 1.
        signal: what it sends itself.
    """

    folder: str
    file: str = ""
    count: int = 1
    signal: signal.Signals = signal.SIGKILL


class Forked:
    """A running `imgc`; its words go to files, so that nobody need read them."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        exports: Path,
        *,
        environment: Mapping[str, str] | None = None,
        death: Death | None = None,
    ) -> None:
        self._said = [folder / f"{name}-{len(list(folder.glob('said-*')))}" for name in ("said", "errors")]
        for path in self._said:
            path.touch()
        given = (list(arguments), [str(path) for path in self._said], str(exports), dict(environment or {}), death)
        self.process = _FORKS.Process(target=_run, args=given, daemon=True)  # a test that fails leaves none behind
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    @property
    def is_stopped(self) -> bool:
        status = Path(f"/proc/{self.process.pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] == "T"

    @property
    def runs(self) -> bool:
        return self.process.exitcode is None

    def finish(self) -> tuple[int | None, str, str]:
        """Return exit code, stdout and stderr."""
        self.process.join(_LONG_S)
        out, errors = (path.read_text() for path in self._said)
        return self.process.exitcode, out, errors


def _run(arguments: list[str], said: list[str], exports: str, environment: dict[str, str], death: Death | None) -> None:
    for number, path in enumerate(said, 1):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(environment)
    if death is not None:
        _die_at(death)
    from compress.cli.main import app

    sys.argv = ["imgc", *arguments]
    with shared_exports(Path(exports)):
        app()


def _die_at(death: Death) -> None:
    left = [death.count]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and death.folder in str(arguments[1]) and str(arguments[1]).endswith(death.file):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), death.signal)

    sys.addaudithook(watch)
