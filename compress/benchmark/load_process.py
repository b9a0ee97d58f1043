"""The load generator as a process of its own: `python -m compress.benchmark.load_process HOST PORT PATH FOLDER`.

A line of JSON on stdin (`PoissonLoad`) is a load to offer; a line on stdout is what became of each request.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from compress.benchmark.http_client import Address, Pool, request_bytes
from compress.benchmark.images import never_seen
from compress.benchmark.server_load import CONNECTIONS, arrivals, offer, run


class PoissonLoad(NamedTuple):
    """One load: a Poisson process.

    Attributes:
        per_s: requests a second.
        seconds: how long.
        seed: of the moments.
        mark: for images that are all new (see `never_seen`); empty: the images as they are.
    """

    per_s: float
    seconds: float
    seed: int
    mark: str


def requests(address: Address, bodies: list[bytes], mark: str) -> Iterator[bytes]:
    """Yield requests without end."""
    turns = never_seen(bodies, mark) if mark else cycle(bodies)
    return (request_bytes(address.path, body, host=f"{address.host}:{address.port}") for body in turns)


def _main(host: str, port: str, path: str, folder: str) -> None:
    address = Address(host, int(port), path)
    bodies = [file.read_bytes() for file in sorted(Path(folder).iterdir())]
    for line in sys.stdin:
        load = PoissonLoad(*json.loads(line))
        pool = Pool(address.port, CONNECTIONS, host=address.host)
        moments_s = arrivals(load.per_s, load.seconds, load.seed)
        outcomes, _ = run(offer(pool, requests(address, bodies, load.mark), moments_s))
        sys.stdout.write(json.dumps(outcomes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
