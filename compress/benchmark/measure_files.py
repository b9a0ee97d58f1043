"""Models named by a user, opened, measured side by side, and compared with one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from compress.benchmark.files import Opened, Vouch, is_architecture, labels_of, open_models
from compress.benchmark.measure import Measured, OpenedModel, Setting, measure
from compress.benchmark.profiles import with_profiles
from compress.benchmark.schema import Bench
from compress.benchmark.sweep import Sweep, with_sweeps
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.labelled import load_labelled_folder
from compress.engine.allocator import keep_freed_memory
from compress.errors import StageError, UsageError
from compress.measure.latency import Timing
from compress.runtime.evaluate_detector import held_out_boxes
from compress.runtime.trial import try_out


@dataclass(frozen=True)
class FilesOptions:
    """What to measure of which models; fields as the options of `imgc benchmark`.

    Attributes:
        models: files and names of architectures.
        data: labelled images; without them nothing is said of accuracy.
        baseline: one of `models`, as given; default the first that can be asked.
        threads: of a call; the first for the rows, all of them for a sweep where there are several.
        batches: images in a call, likewise.
        callers: threads that call at once.
        timing: how the calls are timed.
        preprocess: for the files that do not say how their images are prepared.
        profile: whether each operator is timed too.
        labels: class names for the files that have numbers only.
        own: images and the classes that their labels count, asked of models of these classes instead of `data`'s.
    """

    models: Sequence[str]
    data: Path | None
    baseline: str | None
    threads: tuple[int, ...]
    batches: tuple[int, ...]
    callers: tuple[int, ...]
    timing: Timing
    preprocess: Preprocess | None
    profile: bool
    labels: tuple[str, ...] | None = None
    own: tuple[Split, tuple[str, ...]] | None = None


def measure_files(options: FilesOptions, reporter: Reporter, vouch: Vouch = try_out) -> Measured:
    """Return the measurements; a model that fails is told in them, and the others still come.

    `vouch` raises where a file must not be opened in this process.

    Raises:
        UsageError: the baseline is not one of the models.
        DataError: the images cannot be used.
        StageError: none of the models can be measured, or not the baseline.
    """
    with TemporaryDirectory(prefix="imgc-benchmark-") as folder:
        threads, preprocess = options.threads[0], options.preprocess
        opened = open_models(
            options.models, Path(folder), threads=threads, preprocess=preprocess, labels=options.labels, vouch=vouch
        )
        if not opened.candidates:
            reasons = "".join(f"\n  {one.error}" for one in opened.failed)
            raise StageError(f"none of the models can be measured:{reasons}", hint="imgc inspect FILE")
        return _measure(opened, options, reporter)


def faults(bench: Bench) -> list[str]:
    """Return why models failed, wholly or in part; without weights none can have an accuracy, which is no fault."""
    rows = [f"{row.stage}: {row.error}" for row in bench.rows if row.error and not is_architecture(row.path)]
    return [one.error for one in bench.failed] + rows


def _measure(opened: Opened, options: FilesOptions, reporter: Reporter) -> Measured:
    baseline = _baseline(opened, options)
    split = labels = None
    if options.data is not None:
        labels, named = labels_of(_askable(opened), baseline)
        first = next(one for one in opened.candidates if one.name == baseline)
        if first.predictor.spec.boxes is not None:
            split = held_out_boxes(options.data, labels, first.predictor.path, reporter)
        elif options.own is not None and options.own[1] == labels:
            split = options.own[0]
        else:
            split = load_labelled_folder(options.data, labels, named=named, reporter=reporter)
    keep_freed_memory()
    found = measure(opened.candidates, baseline, split, labels, Setting(options.batches[0], options.timing), reporter)
    bench = found.bench.model_copy(update={"failed": opened.failed})
    if options.profile:
        bench = with_profiles(bench, opened.candidates, reporter)
    several = len(options.threads) > 1 or len(options.batches) > 1
    sweep = Sweep(options.threads, options.batches, options.callers) if several else Sweep(callers=options.callers)
    return replace(found, bench=with_sweeps(bench, opened.candidates, sweep, options.timing, reporter))


def _askable(opened: Opened) -> list[OpenedModel]:
    found = [one for one in opened.candidates if one.unasked is None]
    if not found:
        reasons = "".join(f"\n  {one.unasked}" for one in opened.candidates)
        raise StageError(f"none of the models can be shown the images:{reasons}", hint="leave --data out")
    return found


def _baseline(opened: Opened, options: FilesOptions) -> str:
    able = _askable(opened) if options.data is not None else list(opened.candidates)
    if options.baseline is None:
        return able[0].name
    named = next((one for one in able if options.baseline in (one.path, one.name)), None)
    if named is not None:
        return named.name
    broken = next((one for one in opened.failed if options.baseline in (one.path, one.name)), None)
    if broken is not None:
        raise StageError(f"the baseline cannot be measured: {broken.error}")
    names = ", ".join(one.name for one in able)
    raise UsageError(f"--baseline {options.baseline}: not one of the models: {names}", hint="name it as a model too")
