"""A server in processes of its own: started on given cores, watched through /proc, stopped with all its children."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from compress.errors import StageError

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_POLL_S = 0.005
_ADDRESS = re.compile(r"http://[^\s/]+:(\d+)\b")
_STOP_S = 10.0
_PPID, _UTIME, _STIME, _RSS_PAGES = 1, 11, 12, 21  # places in /proc/PID/stat after the name


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run this thread, and the processes it starts, on these cores; on all as before where they are not ours."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class ServerProcess:
    """A running server.

    Attributes:
        port: where it listens.
        ready_s: from its start to the first 200 of its ready path.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        ready_path: str,
        cores: set[int],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        patience_s: float = 60.0,
    ) -> None:
        """Start it and wait until it is ready.

        Args:
            command: of the server.
            port: where it will listen; 0: it takes a free one, and prints its address.
            ready_path: answers 200 once requests are served.
            cores: that it runs on.
            env: added to the environment.
            cwd: its working folder.
            patience_s: longest wait.

        Raises:
            StageError: it ended, or was not ready in time; the end of what it printed is in the message.
        """
        self.port = port
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        began = time.perf_counter()
        try:
            with pinned(cores):
                self._process = subprocess.Popen(  # noqa: S603 - commands of this package
                    command,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **(env or {})},
                    cwd=cwd,
                    start_new_session=True,
                )
        except OSError as error:
            self._log.close()
            raise StageError(f"cannot be started: {error}") from error
        try:
            self._wait_ready(ready_path, began + patience_s)
        except BaseException:
            self.stop()
            raise
        self.ready_s = time.perf_counter() - began

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self._process.pid

    def pids(self) -> list[int]:
        """Return the processes that live: the first, its children, theirs, and so on."""
        return [pid for pid in family(self.pid) if _stat(pid)]

    def cpu_s(self) -> float:
        """Return the processor time that the living processes have used."""
        stats = [_stat(pid) for pid in self.pids()]
        return sum(int(stat[_UTIME]) + int(stat[_STIME]) for stat in stats if stat) / _TICKS_PER_S

    def rss_bytes(self) -> int:
        """Return the resident memory of the living processes; pages that they share count for each."""
        return sum(int(stat[_RSS_PAGES]) for pid in self.pids() if (stat := _stat(pid))) * _PAGE_BYTES

    def printed(self) -> str:
        """Return what it printed so far."""
        log = self._log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")  # the server writes where a seek leads

    def stop(self) -> None:
        """Ask it to end; end it and its children after a while."""
        everyone = family(self.pid)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in everyone[1:]:
            if _stat(pid):
                _kill(pid)
        self._log.close()

    def __enter__(self) -> ServerProcess:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _wait_ready(self, path: str, end_s: float) -> None:
        while not (self._knows_port() and answers(self.port, path)):
            if self._process.poll() is not None:
                raise StageError(f"ended with exit code {self._process.returncode}: {self.printed()[-300:].strip()}")
            if time.perf_counter() > end_s:
                raise StageError(f"was not ready in time: {self.printed()[-300:].strip()}")
            time.sleep(_POLL_S)

    def _knows_port(self) -> bool:
        if not self.port and (found := _ADDRESS.search(self.printed())):
            self.port = int(found[1])
        return self.port > 0


def answers(port: int, path: str) -> bool:
    """Return whether a GET is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it, itself first."""
    parents = {
        int(entry.name): int(stat[_PPID])
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (stat := _stat(int(entry.name)))
    }
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; none when the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
    return fields if fields[0] != "Z" else []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
