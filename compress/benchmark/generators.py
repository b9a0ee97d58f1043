"""`Generators`: load from processes of their own, so that whoever judges does not hinder whoever asks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from compress.benchmark.http_client import Address
from compress.benchmark.load_process import PoissonLoad
from compress.benchmark.server_load import Outcome
from compress.benchmark.server_process import pinned
from compress.errors import StageError


class Generators:
    """Processes that ask one server about the same images. To be closed, whatever happens."""

    def __init__(self, address: Address, bodies: Sequence[bytes], *, count: int, cores: set[int]) -> None:
        """Start them.

        Args:
            address: of the server.
            bodies: JPEG files.
            count: of processes.
            cores: that they run on.
        """
        self._folder = tempfile.TemporaryDirectory()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        for index, body in enumerate(bodies):
            Path(self._folder.name, f"{index:05}.jpg").write_bytes(body)
        words = [address.host, str(address.port), address.path, self._folder.name]
        command = [sys.executable, "-m", "compress.benchmark.load_process", *words]
        self._processes: list[subprocess.Popen[str]] = []
        with pinned(cores):
            for _ in range(count):
                self._processes.append(self._start(command))

    def offer(self, per_s: float, seconds: float, *, seed: int, mark: str) -> list[Outcome]:
        """Return what became of each request of a Poisson process of `per_s`; see `PoissonLoad`.

        Each process offers its share: independent Poisson processes add up to one.

        Raises:
            StageError: a process has ended.
        """
        count = len(self._processes)
        for index, process in enumerate(self._processes):
            own = f"{mark} {seed} {index}" if mark else ""
            load = PoissonLoad(per_s / count, seconds, seed * count + index, own)
            self._write(process, json.dumps(load) + "\n")
        return [Outcome(*found) for process in self._processes for found in json.loads(self._read(process))]

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what could not be written to a dead process is lost
                    cast(IO[str], pipe).close()
        self._log.close()
        self._folder.cleanup()

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C is for us
        )

    def _write(self, process: subprocess.Popen[str], line: str) -> None:
        pipe = cast(IO[str], process.stdin)
        try:
            pipe.write(line)
            pipe.flush()
        except OSError as error:
            raise self._ended() from error

    def _read(self, process: subprocess.Popen[str]) -> str:
        if line := cast(IO[str], process.stdout).readline():
            return line
        raise self._ended()

    def _ended(self) -> StageError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines() or ["it printed nothing"]
        return StageError(f"a process that makes the load has ended: {lines[-1]}")
