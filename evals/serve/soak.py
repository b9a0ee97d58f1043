"""Good clients beside hostile ones: `python -m evals.serve.soak MODEL IMAGES [SECONDS]`, for docs/results/serving.

First the good clients alone, then the same rate while bombs, pipelining, slow and deaf clients attack.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import sleep

from compress.benchmark.http_client import request_bytes
from compress.benchmark.server_load import OK, Load, open_loop, run
from compress.benchmark.server_process import ServerProcess
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.serving import ATTACK
from evals.serve.targets import LOAD_CORES, SERVER_CORES

RATE_PER_S = 20.0
LIMIT_MIB = 512
CALM_S = 60.0
_BEFORE_S = 2.0  # of attack before the good clients are counted
_MIB = 1 << 20
COLUMNS = (
    Column(key="server", title="server, its good clients", kind="text"),
    Column(key="seconds", title="seconds"),
    Column(key="sent", title="requests", kind="count"),
    Column(key="lost", title="not answered 200", kind="count"),
    Column(key="p50_ms", title="p50 ms", digits=1),
    Column(key="p99_ms", title="p99 ms", digits=1),
    Column(key="peak_mib", title="server's peak MiB so far", digits=0),
)


def soak(model: Path, images: list[bytes], seconds: float, measured: Measured) -> Block:
    """Return the table of the phases; its `n` says what the attackers sent and were told."""
    requests = [request_bytes("/v1/classify", image) for image in images]
    limits = ["--memory-limit-mib", str(LIMIT_MIB), "--cache-mib", "0", "--timeout-ms", "5000"]
    command = [sys.executable, "-m", "compress", "serve", str(model), "--port", "0", *limits]
    server = ServerProcess(command, port=0, ready_path="/readyz", cores=SERVER_CORES, env={"OMP_NUM_THREADS": "1"})
    try:
        calm = run(open_loop(server.port, requests, per_s=RATE_PER_S, seconds=CALM_S, connections=64))
        rows = [_row("alone", calm, _peak_mib(server.pid))]
        attackers = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "evals.serve.attackers", str(server.port), str(seconds + _BEFORE_S)],
            stdout=subprocess.PIPE,
            text=True,
        )
        sleep(_BEFORE_S)
        attacked = run(open_loop(server.port, requests, per_s=RATE_PER_S, seconds=seconds, connections=64))
        sent = json.loads(attackers.communicate(timeout=60)[0])
        rows.append(_row("beside attackers", attacked, _peak_mib(server.pid)))
        sleep(5)
        after = run(open_loop(server.port, requests, per_s=RATE_PER_S, seconds=20, connections=64))
        rows.append(_row("5 s after", after, _peak_mib(server.pid)))
    finally:
        server.stop()
    return Block(
        key=ATTACK,
        title="Good clients beside bombs, pipelining, slow and deaf clients",
        n={"requests of good clients beside attackers": attacked.sent, **sent},
        setting=(
            f"`{model.name}` behind `imgc serve --memory-limit-mib {LIMIT_MIB} --cache-mib 0 --timeout-ms 5000`, one "
            f"process, on one core; good clients ask {RATE_PER_S:g} times a second at random moments (seed 0), "
            "and the attackers share the other core with them"
        ),
        measured=measured,
        columns=COLUMNS,
        rows=tuple(rows),
    )


def _row(who: str, load: Load, peak_mib: float) -> dict[str, Cell]:
    lost = load.sent - load.statuses.get(OK, 0)
    return {
        "server": f"imgc, {who}", "seconds": load.seconds, "sent": load.sent, "lost": lost, "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms, "peak_mib": peak_mib,
    }  # fmt: skip


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """Measure what the command line names, and write the page."""
    measured = measured_now()
    os.sched_setaffinity(0, LOAD_CORES)  # the attackers inherit it
    model, folder, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3] if sys.argv[3:] else 600)
    images = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))[:200]]
    publish("serving", (soak(model, images, seconds, measured),))


if __name__ == "__main__":
    main()
