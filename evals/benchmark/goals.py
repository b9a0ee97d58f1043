"""The tables on the measuring itself: `python -m evals.benchmark.goals RUN` writes docs/results/measuring.

The same file again and again beside a noisy neighbour, a call of known length, and the runtimes' own benchmark tools.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns, sleep

import numpy as np

from compress.benchmark.config import BenchmarkConfig
from compress.benchmark.files import open_models
from compress.benchmark.measure import OpenedModel, Setting, measure
from compress.core.cores import usable_cores
from compress.core.formats import Format
from compress.core.stage import SilentReporter
from compress.errors import ImgcError, StageError
from compress.measure.latency import Latency, Timing, measure_latency
from compress.measure.machine_speed import MachineSpeed
from compress.pipeline.lock import artifact_at, read_lock
from compress.runtime.predictor import Call, Floats
from evals.pages.pages import publish
from evals.results.provenance import measured_now
from evals.results.schema import Block, Cell, Column, Measured
from evals.sentences.measuring import BUSY, QUIET, REPEAT

TIMES = 10
_CALL_NS = 1_000_000
_ROUNDS = 9
_TOOL_CALLS, _TOOL_WARMUP = 1000, 50
_TOOL_TIMEOUT_S = 120
_BUSY = "while True: pass"
REPEAT_COLUMNS = (
    Column(key="condition", title="condition", kind="text"),
    Column(key="benchmarks", title="benchmarks"),
    Column(key="p50_ms", title="medians, ms", digits=3),
    Column(key="said", title="said unstable or busy"),
)
CALL_COLUMNS = (
    Column(key="call", title="call", kind="text"),
    Column(key="p50_ms", title="median ms", digits=5),
    Column(key="longer_pct", title="longer %", digits=2),
)
TOOL_COLUMNS = (
    Column(key="file", title="file", kind="text"),
    Column(key="ours_ms", title="imgc, mean ms", digits=3),
    Column(key="theirs_ms", title="the runtime's own tool, mean ms", digits=3),
    Column(key="ratio", title="ratio", digits=3),
)
# The timing loop of ONNX Runtime's own tool, with a session of as many threads as ours.
_ORT_TOOL = """
import sys
from onnxruntime.tools import onnxruntime_test as tool
from compress.runtime.onnx_predictor import session_options
make = tool.onnxrt.InferenceSession
tool.onnxrt.InferenceSession = lambda path, sess_options, providers: make(
    path, session_options(1), providers=["CPUExecutionProvider"]
)
tool.run_model(sys.argv[1], int(sys.argv[2]))
"""


@dataclass(frozen=True)
class Repeated:
    """One benchmark of the same file: beside a busy program or not, its median, and what was said of it."""

    is_noisy: bool
    p50_ms: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Beside:
    """The mean time of a call by us and by the runtime's own tool, round by round."""

    name: str
    ours_ms: tuple[float, ...]
    theirs_ms: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Return the median over the rounds of ours by theirs."""
        return median(ours / theirs for ours, theirs in zip(self.ours_ms, self.theirs_ms, strict=True))


def repeat(candidate: OpenedModel, times: int = TIMES) -> list[Repeated]:
    """Return so many whole benchmarks of one file; every other one beside programs that keep all cores busy."""
    found = []
    for index in range(times):
        is_noisy = index % 2 == 1
        with _noise(usable_cores() if is_noisy else 0):
            setting = Setting(1, _usual())
            bench = measure([candidate], candidate.name, None, None, setting, SilentReporter()).bench
        (row,) = bench.rows
        assert row.latency_p50_ms is not None
        said = tuple(text for text in bench.warnings if "load" not in text)  # the load of a minute ago is no evidence
        found.append(Repeated(is_noisy, row.latency_p50_ms, said))
    return found


def silent_spread_pct(found: list[Repeated]) -> float | None:
    """Return by how much the slowest of the benchmarks that said nothing is above the fastest; None without any."""
    silent = [one.p50_ms for one in found if not one.warnings]
    return 100 * (max(silent) / min(silent) - 1) if silent else None


def overhead_pct() -> float:
    """Return by how much the measured median of a call of exactly one millisecond is longer than that."""
    times = _timed(_OneMillisecond())
    return 100.0 * (times.p50_ms * 1e6 / _CALL_NS - 1)


class _OneMillisecond:
    """Answers after one millisecond on the clock."""

    def prepared(self, _: Floats) -> Call:
        return self._wait

    def _wait(self) -> None:
        end = perf_counter_ns() + _CALL_NS
        while perf_counter_ns() < end:
            pass


def _timed(predictor: object) -> Latency:
    images = {"one": np.zeros((1, 3, 1, 1), np.float32)}
    return measure_latency({"one": predictor}, images, _usual(), SilentReporter())["one"]  # type: ignore[dict-item]


def beside_own_tools(candidates: list[OpenedModel]) -> list[Beside]:
    """Return each file's mean time by us and by its runtime's own tool, by turns, one thread.

    All of our calls count here, also those of slow moments, since the tools leave none out.
    """
    timing = Timing(warmup=_TOOL_WARMUP, repeats=_TOOL_CALLS, budget_s=_TOOL_TIMEOUT_S)
    found = []
    for one in candidates:
        images = {one.name: np.random.default_rng(0).standard_normal((1, *one.predictor.spec.input_chw), np.float32)}
        ours, theirs = [], []
        for _ in range(_ROUNDS):
            always = MachineSpeed(read=lambda: 1.0)
            latency = measure_latency({one.name: one.predictor}, images, timing, SilentReporter(), speed=always)
            ours.append(1000.0 / latency[one.name].throughput_ips)
            theirs.append(own_tool_ms(Path(one.predictor.path), one.predictor.format))
        found.append(Beside(one.name, tuple(ours), tuple(theirs)))
    return found


def own_tool_ms(path: Path, fmt: Format) -> float:
    """Return the mean milliseconds of a call as `onnxruntime_test` or `litert-benchmark` of the installed wheels say.

    Raises:
        StageError: the tool failed.
    """
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        if fmt is Format.ONNX:
            command = [sys.executable, "-c", _ORT_TOOL, str(path), str(_TOOL_CALLS)]
        else:
            options = ["--num_threads=1", f"--num_runs={_TOOL_CALLS}", f"--warmup_runs={_TOOL_WARMUP}"]
            options.append(f"--result_json={result}")
            tool = "ai_edge_litert.tools.benchmark_litert_model"
            command = [sys.executable, "-m", tool, f"--model={path}", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False)  # noqa: S603 - tools of the installed wheels
        if done.returncode != 0:
            raise StageError(f"{path}: the runtime's own benchmark failed: {done.stderr.strip().splitlines()[-1:]}")
        if fmt is Format.ONNX:
            line = next(line for line in done.stdout.splitlines() if line.startswith("avg latency:"))
            return float(line.split()[2])
        return float(json.loads(result.read_text(encoding="utf-8"))["latency"]["avg_ms"])


@contextmanager
def _noise(count: int) -> Iterator[None]:
    programs = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(count)]  # noqa: S603
    try:
        sleep(0.5)  # until they really run
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def _usual() -> Timing:
    usual = BenchmarkConfig()
    return Timing(warmup=usual.warmup, repeats=usual.repeats, budget_s=usual.budget_s)


def repeat_block(repeated: list[Repeated], name: str, measured: Measured) -> Block:
    """Return the benchmarks of the same file: the range of their medians, and how many said that they are unstable."""
    conditions = {QUIET: False, BUSY: True}
    return Block(
        key=REPEAT,
        title="The same file again and again",
        n={"benchmarks": len(repeated)},
        setting=f"{name}, every other benchmark beside a busy program on every core",
        measured=measured,
        columns=REPEAT_COLUMNS,
        rows=tuple(
            _condition(text, [one for one in repeated if one.is_noisy is noisy]) for text, noisy in conditions.items()
        ),
        facts={"silent_spread_pct": silent_spread_pct(repeated)},
    )


def _condition(text: str, found: list[Repeated]) -> dict[str, Cell]:
    times_ms = [one.p50_ms for one in found]
    said = sum(bool(one.warnings) for one in found)
    return {"condition": text, "benchmarks": len(found), "p50_ms": (min(times_ms), max(times_ms)), "said": said}


def call_block(longer_pct: float, measured: Measured) -> Block:
    """Return the call of known length."""
    usual = _usual()
    row: dict[str, Cell] = {"call": "exactly 1 ms", "p50_ms": 1 + longer_pct / 100, "longer_pct": longer_pct}
    return Block(
        key="call",
        title="A call of known length",
        n={"calls": usual.repeats},
        setting="a call that answers after one millisecond on the clock",
        measured=measured,
        columns=CALL_COLUMNS,
        rows=(row,),
    )


def tools_block(tools: list[Beside], measured: Measured) -> Block:
    """Return our mean time of a call beside that of the runtime's own tool."""
    return Block(
        key="tools",
        title="Beside the runtimes' own tools",
        n={"rounds": max((len(one.ours_ms) for one in tools), default=0)},
        setting="one thread, by turns; means are medians over the rounds, the ratio is of the same round",
        measured=measured,
        columns=TOOL_COLUMNS,
        rows=tuple(
            {
                "file": one.name,
                "ours_ms": median(one.ours_ms),
                "theirs_ms": median(one.theirs_ms),
                "ratio": one.ratio,
            }
            for one in tools
        ),
    )


def _exported(run_dir: Path, folder: Path) -> list[OpenedModel]:
    """Return the run's newest int8 ONNX and TFLite files."""
    lock = read_lock(run_dir)
    if lock is None:
        raise StageError(f"{run_dir}: nothing is sealed there")
    newest = {
        artifact.format: artifact_at(run_dir, stage).path
        for stage in lock.stages
        if (artifact := stage.artifact).format in (Format.ONNX, Format.TFLITE)
    }
    return list(open_models([str(path) for path in newest.values()], folder, threads=1, preprocess=None).candidates)


def main(run_dir: Path) -> None:
    """Measure, and write docs/results/measuring."""
    measured = measured_now("call")
    with TemporaryDirectory() as folder:
        candidates = _exported(run_dir, Path(folder))
        tools = tools_block(beside_own_tools(candidates), measured)
        call = call_block(overhead_pct(), measured)
        repeated = repeat_block(repeat(candidates[-1]), candidates[-1].name, measured)
    publish("measuring", (repeated, call, tools))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
