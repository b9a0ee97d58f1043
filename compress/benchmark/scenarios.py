"""Scenarios of one model file in the manner of MLPerf (Reddi et al. 2020, table II), one after the other."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from compress.benchmark.generators import Generators
from compress.benchmark.http_client import LOCAL, Address
from compress.benchmark.offline import measure_offline
from compress.benchmark.scenario_schema import OFFLINE, SERVER, SINGLE_STREAM, Cache, Scenario
from compress.benchmark.server import PeakSearch, measure_server
from compress.benchmark.server_process import ServerProcess
from compress.benchmark.single_stream import measure_single_stream
from compress.core.cores import usable_cores
from compress.core.formats import Format, format_of
from compress.core.stage import Reporter
from compress.errors import UsageError
from compress.runtime.open import open_predictor

KINDS = (SINGLE_STREAM, OFFLINE, SERVER)
_SHORTEST_TIMEOUT_MS = 1000  # what `imgc serve` gives a request unless told otherwise
_LOAD_SHARE = 4  # one core in so many makes the load


@dataclass(frozen=True)
class ScenarioRequest:
    """What is to be measured.

    Attributes:
        kinds: of `KINDS`.
        bodies: images, JPEG files.
        seconds: of single-stream, of offline, of each probe of server.
        p99_ms: bound of the server scenario.
        threads: of the runtime in single-stream.
    """

    kinds: tuple[str, ...]
    bodies: Sequence[bytes]
    seconds: float
    p99_ms: float
    threads: int


def check(kinds: Sequence[str], model: Path | None, address: Address | None) -> None:
    """Refuse what cannot be measured, before anything is.

    Raises:
        UsageError: no model where one is needed, one that cannot be served, or an address that nothing is asked of.
    """
    if address is not None and SERVER not in kinds:
        raise UsageError(f"{kinds[0]} asks no server: --url goes with the server scenario", hint="--scenario server")
    if model is None:
        if tuple(kinds) != (SERVER,) or address is None:
            raise UsageError("the scenario needs one model file", hint="imgc benchmark scenarios MODEL")
    elif SERVER in kinds and address is None and format_of(model) is Format.TORCH:
        raise UsageError(
            f"{model}: a torch file cannot be served, and the server scenario asks a server (allowed: .onnx, .tflite)",
            hint="imgc export --format tflite, or --scenario single-stream",
        )


def measure_scenarios(
    model: Path | None, address: Address | None, asked: ScenarioRequest, reporter: Reporter
) -> tuple[Scenario, ...]:
    """Return the scenarios in the order of `KINDS`, server once for each state of the cache.

    Args:
        model: the file; None where a running server alone is asked.
        address: of a running server; None: the model is served in a process of its own, ended in any case.
        asked: what is to be measured.
        reporter: shows progress.

    Raises:
        UsageError: see `check`.
        StageError: a file that cannot be opened or a server that does not start or answer.
    """
    check(asked.kinds, model, address)
    found = []
    if model and SINGLE_STREAM in asked.kinds:
        predictor = open_predictor(model, threads=asked.threads)
        found.append(measure_single_stream(predictor, asked.bodies, asked.seconds, reporter))
    if model and OFFLINE in asked.kinds:
        found.append(
            measure_offline(
                lambda: open_predictor(model, threads=1), asked.bodies, asked.seconds, usable_cores(), reporter
            )
        )
    if SERVER in asked.kinds:
        with _ended_by_sigterm():
            if address is not None:
                found += [_search(address, asked, cache, str(address), reporter) for cache in ("cold", "hot")]
            elif model:
                if shared_cores()[0] & shared_cores()[1]:
                    reporter.warn("one core for the server and its load: they hinder each other, the peak is too low")
                found += [_own_server(model, asked, cache, reporter) for cache in ("off", "cold", "hot")]
    return tuple(found)


def shared_cores() -> tuple[set[int], set[int]]:
    """Return the cores of the server and those of the load; the same one where there is no other."""
    cores = sorted(os.sched_getaffinity(0))
    count = max(1, len(cores) // _LOAD_SHARE)
    return set(cores[:-count]) or set(cores), set(cores[-count:])


def _own_server(model: Path, asked: ScenarioRequest, cache: Cache, reporter: Reporter) -> Scenario:
    timeout_ms = max(_SHORTEST_TIMEOUT_MS, ceil(asked.p99_ms))
    command = [sys.executable, "-m", "compress", "serve", str(model.absolute()), "--host", LOCAL, "--port", "0"]
    command += ["--timeout-ms", str(timeout_ms), *(["--cache-mib", "0"] if cache == "off" else [])]
    with ServerProcess(command, port=0, ready_path="/readyz", cores=shared_cores()[0]) as server:
        return _search(Address(LOCAL, server.port), asked, cache, str(model), reporter)


def _search(address: Address, asked: ScenarioRequest, cache: Cache, model: str, reporter: Reporter) -> Scenario:
    cores = shared_cores()[1]
    with closing(Generators(address, asked.bodies, count=len(cores), cores=cores)) as generators:
        search = PeakSearch(asked.p99_ms, asked.seconds, cache)
        return measure_server(address, generators, asked.bodies, search, model, reporter)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this as Ctrl-C does, so that a server we started is ended too."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
