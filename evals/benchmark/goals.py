"""README's table on the measuring itself: `python -m evals.benchmark.goals README.md RUN`.

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
from compress.core.storage import write_text
from compress.errors import ImgcError, StageError
from compress.measure.latency import Latency, Timing, measure_latency
from compress.measure.machine_speed import MachineSpeed
from compress.pipeline.lock import artifact_at, read_lock
from compress.report.table import host_text, markdown_table
from compress.runtime.host import host
from compress.runtime.predictor import Call, Floats
from evals.results_table import replace_block

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
TIMES = 10
_CALL_NS = 1_000_000
_ROUNDS = 9
_TOOL_CALLS, _TOOL_WARMUP = 1000, 50
_TOOL_TIMEOUT_S = 120
_BUSY = "while True: pass"
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


def as_markdown(repeated: list[Repeated], overhead: float, tools: list[Beside], name: str) -> str:
    """Return what README shows."""
    spread = silent_spread_pct(repeated)
    rows: list[tuple[str, ...]] = [
        (
            f"{name}, benchmarked {len(repeated)} times, every other time beside a busy program on every core",
            f"quiet: {_range(repeated, is_noisy=False)}; interfered: {_range(repeated, is_noisy=True)}",
            "all said so" if spread is None else f"spread of those that said nothing: {spread:.1f} %",
        ),
        ("a call of exactly 1 ms", f"median {1 + overhead / 100:.5f} ms", f"{overhead:.2f} % longer"),
    ]
    rows += [
        (
            f"{one.name} beside the runtime's own tool, one thread, {len(one.ours_ms)} rounds by turns",
            f"means {median(one.ours_ms):.3f} and {median(one.theirs_ms):.3f} ms",
            f"ratio {one.ratio:.3f}",
        )
        for one in tools
    ]
    head = "_Written by `make results-benchmark`; no number is typed by hand._"
    text = f"Machine: {host_text(host())}."
    return "\n\n".join((BEGIN, head, text, markdown_table(("what", "measured", "verdict"), rows, 3), END))


def _range(repeated: list[Repeated], *, is_noisy: bool) -> str:
    found = [one for one in repeated if one.is_noisy is is_noisy]
    times_ms = [one.p50_ms for one in found]
    said = sum(bool(one.warnings) for one in found)
    return f"p50 {min(times_ms):.3f} to {max(times_ms):.3f} ms, {said} of {len(found)} said unstable or busy"


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


def main(readme: Path, run_dir: Path) -> None:
    """Measure and write README's block; print it too."""
    text = readme.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        candidates = _exported(run_dir, Path(folder))
        tools = beside_own_tools(candidates)
        overhead = overhead_pct()
        repeated = repeat(candidates[-1])
    block = as_markdown(repeated, overhead, tools, candidates[-1].name)
    sys.stdout.write(block + "\n")
    write_text(readme, replace_block(text, block, BEGIN, END))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except ImgcError as error:
        sys.exit(f"error: {error.message}")
