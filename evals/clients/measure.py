"""Every client that is installed against a model of ours: `python -m evals.clients.measure MODEL IMAGE`."""

from __future__ import annotations

import sys
from pathlib import Path

from compress.classifier import load
from evals.clients.clients import CLIENTS, Client
from evals.clients.server import serving
from evals.clients.tools import Reply
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column
from evals.sentences.clients import REQUESTS

COLUMNS = (
    Column(key="client", title="client", kind="text"),
    Column(key="version", title="version", kind="text"),
    Column(key="requests", title="requests, each twice or more", kind="text"),
    Column(key="replies", title="replies", kind="count"),
    Column(key="ok", title="of status 200, the label right", kind="count"),
    Column(key="connections", title="connections", kind="count"),
)


def row(client: Client, model: Path, image: Path, label: str) -> dict[str, Cell]:
    """Post with a client and return its row."""
    with serving(model) as server:
        replies = client.post(server.url, image)
    return {
        "client": client.name,
        "version": client.version_text(),
        "requests": ", ".join(dict.fromkeys(reply.request for reply in replies)),
        "replies": len(replies),
        "ok": sum(_is_right(reply, label) for reply in replies),
        "connections": server.connections,
    }


def _is_right(reply: Reply, label: str) -> bool:
    return reply.status == 200 and reply.label in (label, "-")


def main() -> None:
    """Measure and write docs/results/clients; the label that is right is the one that `imgc predict` gives."""
    model, image = (Path(argument) for argument in sys.argv[1:])
    now, label = measured_now(), load(model).predict(image).label
    installed = [client for client in CLIENTS if not client.missing()]
    rows = tuple(row(client, model, image, label) for client in installed)
    block = Block(
        key=REQUESTS,
        title="Ordinary requests of HTTP clients",
        n={"clients": len(rows), "replies": sum(int(str(one["replies"])) for one in rows)},
        setting=(
            f"one image of {image.stat().st_size} bytes posted over loopback: as it is, in chunks, with "
            "`Expect: 100-continue`, with an offer of h2c, in forms with and without a file name; what a client "
            "cannot send is left out; - is a tool that shows no content"
        ),
        measured=now,
        columns=COLUMNS,
        rows=rows,
    )
    publish("clients", (block,))


if __name__ == "__main__":
    main()
