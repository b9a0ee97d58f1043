"""The tools that need no program of ours: curl, wget, ab, wrk; and what a reply was."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_DEADLINE_S = 60.0
_SCRIPT = Path(__file__).parent / "programs" / "wrk.lua"
_TYPE = "Content-Type: image/jpeg"


@dataclass(frozen=True)
class Reply:
    """One reply: the kind of its request, its status, the best label ("-": not in it, or not shown by the tool)."""

    request: str
    status: int
    label: str


def _run(command: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own commands
        command, capture_output=True, text=True, check=False, timeout=_DEADLINE_S, env={**os.environ, **env}
    )


def _label(line: str) -> str:
    return str(json.loads(line)["predictions"][0]["label"])


def curl(version: str) -> Callable[[str, Path], list[Reply]]:
    """Return a client that posts with curl; two transfers of one command share a connection."""

    def post(url: str, image: Path) -> list[Reply]:
        raw = ("--header", _TYPE, "--data-binary", f"@{image}")
        kinds = {
            "raw": raw,
            "chunked": (*raw, "--header", "Transfer-Encoding: chunked"),
            "expect": (*raw, "--header", "Expect: 100-continue"),
            "named form": ("--form", f"file=@{image}"),
            "form": ("--form", f"file=<{image}"),
        }
        return [reply for name, options in kinds.items() for reply in _twice(name, url, (version, *options))]

    return post


def _twice(name: str, url: str, options: Sequence[str]) -> list[Reply]:
    once = ["--silent", "--show-error", "--write-out", "\n%{http_code}\n", *options, url]
    done = _run(["curl", *once, "--next", *once])
    if done.returncode:
        raise RuntimeError(f"curl ended with {done.returncode}: {done.stderr.strip()}")
    lines = done.stdout.splitlines()
    return [Reply(name, int(lines[i + 1]), _label(lines[i])) for i in (0, 2)]


def wget(url: str, image: Path) -> list[Reply]:
    """Post with GNU wget."""
    done = _run(
        ["wget", "--quiet", "--server-response", "-O", "-", "--header", _TYPE, f"--post-file={image}", url, url]
    )
    statuses = [int(found) for found in re.findall(r"HTTP/1\.\d (\d+)", done.stderr)]
    labels = re.findall(r'"predictions":\[\{"index":\d+,"label":"([^"]*)"', done.stdout)
    return [Reply("raw", status, label) for status, label in zip(statuses, labels, strict=True)]


def ab(url: str, image: Path) -> list[Reply]:
    """Post with ApacheBench, an HTTP/1.0 client that asks for a connection that stays; it shows no content."""
    count = 10
    done = _run(["ab", "-k", "-q", "-l", "-n", str(count), "-p", str(image), "-T", "image/jpeg", url])
    complete = _count(r"Complete requests:\s+(\d+)", done.stdout)
    bad = _count(r"Non-2xx responses:\s+(\d+)", done.stdout) + _count(r"Failed requests:\s+(\d+)", done.stdout)
    return [Reply("raw", 200, "-")] * (complete - bad) + [Reply("raw", 0, "-")] * (count - complete + bad)


def wrk(url: str, image: Path) -> list[Reply]:
    """Post with wrk for a second over one connection; it shows no content."""
    done = _run(["wrk", "-t1", "-c1", "-d1s", "-s", str(_SCRIPT), url], IMGC_IMAGE=str(image))
    count = _count(r"(\d+) requests in", done.stdout)
    bad = _count(r"Non-2xx or 3xx responses: (\d+)", done.stdout) + sum(
        int(found) for errors in re.findall(r"Socket errors: (.*)", done.stdout) for found in re.findall(r"\d+", errors)
    )
    return [Reply("raw", 200, "-")] * (count - bad) + [Reply("raw", 0, "-")] * bad


def _count(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0
