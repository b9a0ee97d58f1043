"""The clients: a program each of its own language, or a tool; all post one image, each kind of request twice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from evals.clients.tools import Reply, ab, curl, wget, wrk

PROGRAMS = Path(__file__).parent / "programs"
_DEADLINE_S = 120.0
NPM_FOLDER = Path(__file__).parents[2] / ".cache" / "clients" / "node_modules"  # where `make clients` puts axios
ENVIRONMENT = {"GO111MODULE": "off", "NODE_PATH": str(NPM_FOLDER)}
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Client:
    """A client that can be driven.

    Attributes:
        name: how the table calls it.
        program: what must be on the PATH.
        version: the command that prints its version.
        post: posts an image's file to an address and returns the replies.
        probes: connections that it opens beside those of its requests.
    """

    name: str
    program: str
    version: tuple[str, ...]
    post: Callable[[str, Path], list[Reply]]
    probes: int = 0

    def missing(self) -> str:
        """Return what is not installed, "" when nothing is."""
        if which(self.program) is None:
            return self.program
        return self.name if self._ask().returncode and self.program == "node" else ""

    def version_text(self) -> str:
        """Return the first number with dots that the client says of itself."""
        done = self._ask()
        found = _VERSION.search(done.stdout + done.stderr)
        return found.group() if found else "unknown"

    def _ask(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own list
            self.version,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_S,
            env={**os.environ, **ENVIRONMENT},
        )


def _program(*command: str) -> Callable[[str, Path], list[Reply]]:
    """Return how a program of `programs` is run; it prints `REQUEST STATUS LABEL`, a line a reply."""

    def post(url: str, image: Path) -> list[Reply]:
        done = subprocess.run(  # noqa: S603 - our own programs
            [*command, url, str(image)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_DEADLINE_S,
            env={**os.environ, **ENVIRONMENT},
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
        return [Reply(name, int(status), label) for name, status, label in lines]

    return post


def _python(name: str) -> Client:
    version = (sys.executable, "-c", f"import {name}; print({name}.__version__)")
    return Client(
        f"Python {name}", sys.executable, version, _program(sys.executable, str(PROGRAMS / "python_clients.py"), name)
    )


def _programs(*names: str) -> Sequence[str]:
    return [str(PROGRAMS / name) for name in names]


CLIENTS = (
    Client("JDK HttpClient", "java", ("java", "-version"), _program("java", *_programs("Jdk.java"))),
    Client("Go net/http", "go", ("go", "version"), _program("go", "run", *_programs("nethttp.go"))),
    Client("Node fetch", "node", ("node", "--version"), _program("node", *_programs("fetch.mjs"))),
    Client(
        "Node axios",
        "node",
        ("node", "-p", "require('axios/package.json').version"),
        _program("node", *_programs("axios.cjs")),
    ),
    *(_python(name) for name in ("requests", "httpx", "aiohttp")),
    Client("curl --http1.1", "curl", ("curl", "--version"), curl("--http1.1")),
    Client("curl --http2", "curl", ("curl", "--version"), curl("--http2")),
    Client("wget", "wget", ("wget", "--version"), wget),
    Client("ab -k", "ab", ("ab", "-V"), ab),
    Client("wrk", "wrk", ("wrk", "-v"), wrk, probes=1),
)
