"""What interferes with a measurement: other programs, the hypervisor, a quota or heat. Reads the kernel's counters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

BUSY_LOAD = 1.5  # for each core; a training stage just before leaves about 1
_OTHERS_CORES = 0.2  # that other programs may use
_STEAL_SHARE = 0.01
_SWITCHES_PER_S = 20.0
_MIN_S = 0.2  # the kernel counts processor time in ticks of 10 ms: a shorter time says nothing
_STEAL_AT = 7  # fields of /proc/stat: user nice system idle iowait irq softirq steal (man 5 proc)
_IDLE_AT = (3, 4)
_CGROUP_FILES = ("sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat")  # v2, v1
_HEAT_FILES = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"


@dataclass(frozen=True)
class Counters:
    """The kernel's counters at one moment; None where it does not keep one.

    Attributes:
        at_s: moment, in seconds of any clock.
        own_s: processor time of this process.
        switches: how often this process was taken off a core although it had work.
        busy_s: processor time of everything on the machine, without steal.
        steal_s: time in which the hypervisor ran somebody else.
        total_s: all time of all cores, idle time too.
        quota_stops: how often the cgroup's CPU quota stopped this process or its neighbours.
        heat_stops: how often heat slowed a core.
    """

    at_s: float
    own_s: float | None = None
    switches: int | None = None
    busy_s: float | None = None
    steal_s: float | None = None
    total_s: float | None = None
    quota_stops: int | None = None
    heat_stops: int | None = None


def counters(root: Path = Path("/")) -> Counters:
    """Return the counters now; files that are not there are no error. Tests bring their own root."""
    own_s, switches = _own()
    busy_s, steal_s, total_s = _machine(root)
    return Counters(perf_counter(), own_s, switches, busy_s, steal_s, total_s, _quota_stops(root), _heat_stops(root))


def load_doubt(load_1min: float | None, cores: int) -> list[str]:
    """Return one sentence if the load before the measurement is already too high, else nothing."""
    if load_1min is None or load_1min <= BUSY_LOAD * cores:
        return []
    return [f"this machine is busy (load {load_1min} on {cores} cores): the times will be too long and noisy"]


def interference(before: Counters, after: Counters) -> list[str]:
    """Return a sentence for each thing that interfered with what ran between the two moments; empty on a quiet one."""
    took_s = after.at_s - before.at_s
    found = []
    if took_s >= _MIN_S:
        found += _of_others(before, after, took_s)
    stops = _grown(before.quota_stops, after.quota_stops)
    if stops:
        found.append(f"throttled: the cgroup's CPU quota stopped this process {stops:.0f} times during the timing")
    stops = _grown(before.heat_stops, after.heat_stops)
    if stops:
        found.append(f"throttled: heat slowed the processor {stops:.0f} times during the timing")
    return found


def _of_others(before: Counters, after: Counters, took_s: float) -> list[str]:
    found = []
    others = (_grown(before.busy_s, after.busy_s) - _grown(before.own_s, after.own_s)) / took_s
    if others > _OTHERS_CORES:
        found.append(f"busy: other programs used {others:.1f} cores during the timing")
    total_s = _grown(before.total_s, after.total_s)
    steal = _grown(before.steal_s, after.steal_s) / total_s if total_s else 0.0
    if steal > _STEAL_SHARE:
        found.append(f"busy: the hypervisor gave {100 * steal:.0f} % of the processor time to others during the timing")
    switches = _grown(before.switches, after.switches) / took_s
    if switches > _SWITCHES_PER_S:
        found.append(f"busy: this process was taken off its core {switches:.0f} times a second during the timing")
    return found


def _grown(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else after - before


def _own() -> tuple[float | None, int | None]:
    try:
        import resource
    except ImportError:  # Windows
        return None, None
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, used.ru_nivcsw


def _machine(root: Path) -> tuple[float | None, float | None, float | None]:
    """Return busy, stolen and all seconds of all cores since the start of the machine."""
    text = _text(root / "proc/stat")
    if text is None:
        return None, None, None
    ticks = [int(field) for field in text.splitlines()[0].split()[1 : _STEAL_AT + 2]]
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    steal, idle, total = ticks[_STEAL_AT], sum(ticks[at] for at in _IDLE_AT), sum(ticks)
    return (total - idle - steal) * tick_s, steal * tick_s, total * tick_s


def _quota_stops(root: Path) -> int | None:
    for name in _CGROUP_FILES:
        for line in (_text(root / name) or "").splitlines():
            if line.startswith("nr_throttled "):
                return int(line.split()[1])
    return None


def _heat_stops(root: Path) -> int | None:
    counts = [int(text) for path in root.glob(_HEAT_FILES) if (text := _text(path)) is not None]
    return sum(counts) if counts else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return None
