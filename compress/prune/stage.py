"""The prune stage: a trained model in, a narrower self-describing `model.safetensors` out."""

from __future__ import annotations

from compress.core.artifact import Metrics, StageOutput
from compress.core.formats import Format
from compress.core.names import few
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext, StageInputs
from compress.data.dataset import Dataset, load_dataset
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.detection.options import refuse_fit_of_classifiers
from compress.engine.initial_weights import start_model
from compress.engine.sets import require_same_labels
from compress.errors import UsageError
from compress.models.build import describe, stem_module
from compress.models.weights import load_model, save_model
from compress.prune.box_datasets import BoxDatasets
from compress.prune.config import DEFAULT_KEEP, PruneConfig
from compress.prune.datasets import PruneDatasets
from compress.prune.images import PruneImages
from compress.prune.latency import exported_latency_ms
from compress.prune.plan import PruningBudget
from compress.prune.prunable_network import GroupRow
from compress.prune.rounds import METRICS, Rounds, remove_rounds

FILE_NAME = "model.safetensors"
_NAMES_SHOWN = 2


def run(config: PruneConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Prune, recover if asked to, and return the narrower model.

    Metrics: keep (share of the channels asked for or found), channels_kept_pct, macs, params, macs_kept_pct,
    params_kept_pct, latency_before_ms, latency_ms (of the exported models), top1_pct or map_pct (validation).

    Raises:
        UsageError: the recipe has no data, or `protect` names no layer.
        ModelFileError: the input is damaged.
        StageError: other classes than the data's, a budget that cannot be met, or the recovery diverged.
    """
    if ctx.data is None:
        raise UsageError("pruning needs images, and the recipe has no `data:` block")
    teacher, spec = load_model(inputs["from"].path)
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter, task=spec.task)
    require_same_labels(spec.labels, dataset.labels, wanted_by="the model to prune", found_in="the data")
    model = teacher
    if config.weights is not None:
        stock = spec.model_copy(update={"layers": ()})
        model = start_model(stock, config.weights, ctx.seed)
        spec = describe(model, stock)
    images = _images(config, dataset, spec, ctx)
    rounds = Rounds(config, spec, images, ctx, protected=(stem_module(spec), *config.protect))
    budget = _budget(config, inputs, spec)
    narrow, rows, share = rounds.run(model, teacher, budget)
    if all(row.after == row.before for row in rows):
        ctx.reporter.warn(f"nothing was cut: the whole network is within {_asked(budget)}")
    narrow_spec = describe(narrow, spec)
    latency = exported_latency_ms({"before": model, "after": narrow}, spec, config.runtime)
    for line in table(rows, spec, narrow_spec, latency, config.runtime):
        ctx.reporter.info(line)
    if config.target_latency_ms is not None and latency["after"] > config.target_latency_ms:
        ctx.reporter.warn(
            f"measured again it takes {latency['after']:.3f} ms, more than target_latency_ms "
            f"{config.target_latency_ms:g}: times vary on this machine; leave it idle, or ask for less"
        )
    accuracy = images.accuracy_pct(narrow)
    ctx.reporter.info(
        f"validation {METRICS[images.metric]} {accuracy:.2f} % {'after' if config.recovery else 'before any'} recovery"
    )
    save_model(ctx.stage_dir / FILE_NAME, narrow, narrow_spec)
    remove_checkpoint(ctx.stage_dir)
    remove_rounds(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=narrow_spec,
        metrics=_metrics(share, rows, spec, narrow_spec, latency) | {f"{images.metric}_pct": accuracy},
    )


def _images(config: PruneConfig, dataset: Dataset, spec: ModelSpec, ctx: RunContext) -> PruneImages:
    if spec.boxes is None:
        return PruneDatasets(dataset, spec, ctx)
    if config.recovery is not None:
        refuse_fit_of_classifiers(config.recovery, "recovery", spec.arch)
    return BoxDatasets(dataset, spec, config.detect, ctx)


def table(
    rows: tuple[GroupRow, ...], before: ModelSpec, after: ModelSpec, latency: dict[str, float], runtime: str
) -> list[str]:
    """Return the lines that say what was kept: one per group of coupled layers, then MACs, parameters and latency."""
    lines = ["kept channels (layers that are added or gated together count once):"]
    lines += [f"  {row.after:5d} of {row.before:5d}  {_layers(row)}" for row in rows]
    for what, old, new in (("MACs", before.macs, after.macs), ("parameters", before.params, after.params)):
        lines.append(f"{what}: {old:,} -> {new:,} ({100 * new / old:.1f} % kept)")
    old_ms, new_ms = latency["before"], latency["after"]
    lines.append(
        f"latency of the float {runtime} file, one image, one thread: {old_ms:.2f} -> {new_ms:.2f} ms "
        f"({100 * new_ms / old_ms:.1f} % kept)"
    )
    return lines


def _budget(config: PruneConfig, inputs: StageInputs, spec: ModelSpec) -> PruningBudget:
    if config.like is not None:
        pruned = inputs["like"].spec
        if pruned is None or not pruned.macs:
            raise UsageError(f"like: {inputs['like'].path} does not say its MACs", hint="name a stage that prunes")
        return PruningBudget("macs", pruned.macs, nearest=True)
    if config.target_macs is not None:
        return PruningBudget("macs", config.target_macs * spec.macs, "target_macs", config.target_macs)
    if config.target_params is not None:
        return PruningBudget("params", config.target_params * spec.params, "target_params", config.target_params)
    if config.target_latency_ms is not None:
        return PruningBudget("latency_ms", config.target_latency_ms, "target_latency_ms", config.target_latency_ms)
    return PruningBudget("keep", config.keep or DEFAULT_KEEP)


def _asked(budget: PruningBudget) -> str:
    if budget.nearest:
        return "the MACs it is to have"
    return f"{budget.option} {budget.limit if budget.unit == 'keep' else budget.asked:g}"


def _layers(row: GroupRow) -> str:
    names = few(row.layers, _NAMES_SHOWN)
    return f"{names} (protected)" if row.protected else names


def _metrics(
    share: float, rows: tuple[GroupRow, ...], before: ModelSpec, after: ModelSpec, latency: dict[str, float]
) -> Metrics:
    return {
        "keep": share,
        "channels_kept_pct": 100 * sum(row.after for row in rows) / sum(row.before for row in rows),
        "macs": after.macs,
        "params": after.params,
        "macs_kept_pct": 100 * after.macs / before.macs,
        "params_kept_pct": 100 * after.params / before.params,
        "latency_before_ms": latency["before"],
        "latency_ms": latency["after"],
    }
