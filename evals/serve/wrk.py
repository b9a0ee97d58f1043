"""The closed loop by `wrk`, which costs less processor time than a client in Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from compress.benchmark.server_load import OK, Load
from compress.errors import StageError

_MARK = "RESULT "
_SCRIPT = """
local requests, turn = {}, 0
counts = {}
function init(args)
  for index, name in ipairs(FILES) do
    local file = assert(io.open(name, "rb"))
    local headers = {["Content-Type"] = "image/jpeg"}
    requests[index] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function response(status)
  local key = tostring(status)
  counts[key] = (counts[key] or 0) + 1
end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency)
  local parts = {}
  for _, thread in ipairs(threads) do
    for key, count in pairs(thread:get("counts")) do table.insert(parts, string.format('["%s", %d]', key, count)) end
  end
  local errors = summary.errors
  io.write(string.format('RESULT {"duration_us": %d, "p50_us": %f, "p99_us": %f, "lost": %d, ',
    summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write))
  io.write('"counts": [' .. table.concat(parts, ", ") .. ']}\\n')
end
"""


def has_wrk() -> bool:
    """Return whether `wrk` is installed."""
    return shutil.which("wrk") is not None


def wrk_loop(port: int, path: str, files: list[Path], *, connections: int, seconds: int) -> Load:
    """Ask about the files by turns; see `closed_loop`. One thread, since it has one core.

    Raises:
        StageError: wrk failed, or said something else than expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        names = ", ".join(json.dumps(str(file)) for file in files)
        script.write_text(f"FILES = {{{names}}}\n{_SCRIPT}", encoding="utf-8")
        url = f"http://127.0.0.1:{port}{path}"
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if ended.returncode:
        raise StageError(f"wrk failed: {ended.stderr.strip() or ended.stdout.strip()}")
    return parse(ended.stdout)


def parse(printed: str) -> Load:
    """Return what our script printed at the end.

    Raises:
        StageError: it is not there.
    """
    line = next((line for line in printed.splitlines() if line.startswith(_MARK)), None)
    if line is None:
        raise StageError(f"wrk printed no result: {printed[-300:]}")
    found = json.loads(line.removeprefix(_MARK))
    statuses = {int(status): count for status, count in found["counts"]}
    lost, seconds = found["lost"], found["duration_us"] / 1e6
    ok_per_s = statuses.get(OK, 0) / seconds
    return Load(
        sent=sum(statuses.values()) + lost,
        seconds=seconds,
        statuses=dict(sorted((statuses | ({0: lost} if lost else {})).items())),
        ok_per_s=ok_per_s,
        good_per_s=ok_per_s,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
    )
