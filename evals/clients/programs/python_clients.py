"""Posts an image with a client of Python's. Usage: python python_clients.py requests|httpx|aiohttp URL IMAGE.

One line a reply: REQUEST STATUS LABEL.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

_TYPE = {"Content-Type": "image/jpeg"}
_OFFER = {**_TYPE, "Connection": "Upgrade", "Upgrade": "h2c"}
_NAMELESS = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n%s\r\n--x--\r\n'


def _say(name: str, status: int, content: dict[str, Any]) -> None:
    label = content["predictions"][0]["label"] if "predictions" in content else "-"
    sys.stdout.write(f"{name} {status} {label}\n")


def _with_session(client: str, url: str, image: bytes) -> None:
    """Post with requests or httpx: their sessions look alike but for the name of a raw body."""
    if client == "requests":
        import requests

        session: Any = requests.Session()
        raw = "data"
    else:
        import httpx

        session, raw = httpx.Client(), "content"

    def chunks() -> Iterator[bytes]:
        yield image

    bodies: tuple[tuple[str, dict[str, str], Any], ...] = (
        ("raw", _TYPE, lambda: image),
        ("chunked", _TYPE, chunks),
        ("expect", {**_TYPE, "Expect": "100-continue"}, lambda: image),
        ("upgrade", _OFFER, lambda: image),
        ("form", {"Content-Type": "multipart/form-data; boundary=x"}, lambda: _NAMELESS % image),
    )
    for name, headers, body in bodies:
        for _ in range(2):
            reply = session.post(url, headers=headers, timeout=30, **{raw: body()})
            _say(name, reply.status_code, reply.json())
    for _ in range(2):
        reply = session.post(url, files={"file": ("a.jpg", image)}, timeout=30)
        _say("named form", reply.status_code, reply.json())


async def _with_aiohttp(url: str, image: bytes) -> None:
    import aiohttp

    async def chunks() -> AsyncIterator[bytes]:
        yield image

    def form() -> aiohttp.FormData:
        fields = aiohttp.FormData()
        fields.add_field("file", image)
        return fields

    async with aiohttp.ClientSession() as session:
        bodies: tuple[tuple[str, dict[str, str], Any, bool], ...] = (
            ("raw", _TYPE, lambda: image, False),
            ("chunked", _TYPE, chunks, False),
            ("expect", _TYPE, lambda: image, True),
            ("upgrade", _OFFER, lambda: image, False),
            ("form", {}, form, False),
        )
        for name, headers, body, expect in bodies:
            for _ in range(2):
                async with session.post(url, headers=headers, data=body(), expect100=expect) as reply:
                    _say(name, reply.status, await reply.json())


def main() -> None:
    """Post with the client that the command line names."""
    client, url, path = sys.argv[1:]
    image = Path(path).read_bytes()
    if client == "aiohttp":
        asyncio.run(_with_aiohttp(url, image))
    else:
        _with_session(client, url, image)


if __name__ == "__main__":
    main()
