"""Part `load`: the closed loop, every server by turns, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from json import loads
from pathlib import Path

from compress.benchmark.http_client import LOCAL, Address, request_bytes
from compress.benchmark.server_load import OK, Load, ask_each, closed_loop, run
from compress.benchmark.server_process import ServerProcess, pinned
from compress.errors import StageError
from evals.serve.alone import Alone
from evals.serve.images import LoadImages
from evals.serve.targets import LOAD_CORES, Target, baselines, ours
from evals.serve.wrk import has_wrk, wrk_loop


@dataclass(frozen=True)
class Setting:
    """What is measured, and for how long.

    Attributes:
        onnx: served by us and by the baselines.
        tflite: served by us.
        images: what is asked about.
        baselines: virtual environment of the baselines.
        connections: of the closed loop.
        rounds: how often each server has its turn.
        seconds: of one turn.
        open_s: of one rate of the open loop.
        steady_s: of the steady rate.
        idle_s: without a request.
        soak: requests.
        restarts: of server processes.
    """

    onnx: Path
    tflite: Path
    images: LoadImages
    baselines: Path
    connections: int = 16
    rounds: int = 3
    seconds: int = 5
    open_s: float = 8
    steady_s: float = 20
    idle_s: float = 10
    soak: int = 100_000
    restarts: int = 200

    def ours(self) -> list[Target]:
        """Return our server with each of the two files."""
        return [ours(self.onnx), ours(self.tflite)]

    def all(self) -> list[Target]:
        """Return ours and the baselines."""
        return [*self.ours(), *baselines(self.onnx, self.baselines)]

    def requests(self, target: Target) -> list[bytes]:
        """Return the images as requests to a server."""
        return [request_bytes(target.path, body) for body in self.images.bodies()]


@dataclass(frozen=True)
class Turn:
    """One server's turn: answers/s and latencies of the closed loop, processor time of a request, answers not 200."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    errors: int


@dataclass
class Served:
    """All turns of one server.

    Attributes:
        name: of the server.
        ours: whether it is this package's.
        failed: why there are no turns, empty when there are.
        turns: one a round.
        alone_ms: decoding and inference of one image alone, processor time, one value a round.
        same_label_pct: for how many images the best class was that of evaluation, 0..100.
    """

    name: str
    ours: bool
    failed: str = ""
    turns: list[Turn] = field(default_factory=list)
    alone_ms: list[float] = field(default_factory=list)
    same_label_pct: float | None = None


@dataclass(frozen=True)
class LoadFound:
    """What part `load` found."""

    generator: str
    connections: int
    seconds: int
    served: list[Served]


def measure_load(setting: Setting, say: Callable[[str], None]) -> LoadFound:
    """Give every server its turn, `rounds` times; one that does not start is left out, and says why."""
    targets = setting.all()
    found = [Served(target.name, target.ours) for target in targets]
    alone = {path: Alone(path) for path in (setting.onnx, setting.tflite)}
    bodies = setting.images.bodies()
    labels = {path: [model.label(body) for body in bodies] for path, model in alone.items()}
    for turn in range(setting.rounds):
        for target, served in zip(targets, found, strict=True):
            if served.failed:
                continue
            try:
                with target.start() as server:
                    _take_turn(setting, target, server, served, labels[target.model])
                served.alone_ms.append(alone[target.model].cpu_ms(bodies))
            except StageError as error:
                served.failed = error.message
            say(f"load, round {turn + 1}: {served.name}: {served.failed or served.turns[-1]}")
    return LoadFound("wrk" if has_wrk() else "own client", setting.connections, setting.seconds, found)


def closed(setting: Setting, target: Target, server: ServerProcess) -> Load:
    """Return the closed loop's numbers, by wrk where it is installed; the load runs on its own core."""
    with pinned(LOAD_CORES):
        if has_wrk():
            files = setting.images.small
            return wrk_loop(server.port, target.path, files, connections=setting.connections, seconds=setting.seconds)
        requests = setting.requests(target)
        return run(closed_loop(server.port, requests, connections=setting.connections, seconds=setting.seconds))


def warm_up(setting: Setting, target: Target, server: ServerProcess) -> list[str]:
    """Ask about each image once; return the best classes.

    Raises:
        StageError: an answer is not 200.
    """
    with pinned(LOAD_CORES):
        replies = run(ask_each(Address(LOCAL, server.port, target.path), setting.requests(target)))
    return [str(loads(reply.body)["predictions"][0]["label"]) for reply in replies]


def _take_turn(setting: Setting, target: Target, server: ServerProcess, served: Served, labels: list[str]) -> None:
    answered = warm_up(setting, target, server)
    served.same_label_pct = 100 * sum(a == b for a, b in zip(answered, labels, strict=True)) / len(labels)
    before = server.cpu_s()
    load = closed(setting, target, server)
    cpu_ms = 1000 * (server.cpu_s() - before) / max(1, load.sent)
    errors = load.sent - load.statuses.get(OK, 0)
    served.turns.append(Turn(load.ok_per_s, load.p50_ms or 0.0, load.p99_ms or 0.0, cpu_ms, errors))
