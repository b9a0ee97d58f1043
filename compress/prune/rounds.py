"""`Rounds`: cut, recover, cut again, until the budget is met. A round that is done is not repeated after a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from compress.charts.files import write_heat_map
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.core.storage import write_json
from compress.engine.checkpoint import remove_checkpoint
from compress.models.build import describe, output_modules
from compress.models.fold import fold_batch_norm
from compress.models.weights import load_model, save_model
from compress.prune.allocate import Ranking, Widths, allocate
from compress.prune.config import PruneConfig
from compress.prune.images import PruneImages
from compress.prune.latency import exported_latency_ms
from compress.prune.plan import Curve, Measure, PruningBudget, choose, cost_of, path_curve, require_reachable
from compress.prune.prunable_network import MEASURED, GroupRow, PrunableNetwork
from compress.prune.recover import recover
from compress.prune.sensitivity import GroupSensitivity, cheapest_cuts, measure_sensitivity

_ROUND = "round-{}.safetensors"
METRICS = {"top1": "top-1", "map": "mAP"}
SENSITIVITY_JSON, SENSITIVITY_SVG = "sensitivity.json", "sensitivity.svg"


class Rounds:
    """How one network is pruned."""

    def __init__(
        self, config: PruneConfig, spec: ModelSpec, images: PruneImages, ctx: RunContext, protected: tuple[str, ...]
    ) -> None:
        """Take the options, the spec of the network before any cut, its images and the patterns of what stays."""
        self._config, self._spec, self._images, self._ctx = config, spec, images, ctx
        self._protected = protected

    def run(
        self, model: nn.Module, teacher: nn.Module, budget: PruningBudget
    ) -> tuple[nn.Module, tuple[GroupRow, ...], float]:
        """Return the pruned network, one row per group against the network before, and the share of channels kept.

        Args:
            model: the network to prune; not changed.
            teacher: whose answers the recovery learns from.
            budget: for the last round; earlier ones approach it geometrically.

        Raises:
            UsageError: a protected pattern names no layer.
            StageError: the budget cannot be met, or the recovery diverged.
        """
        whole = self._network(model)
        widths = Widths(whole.widths(), self._config.round_to, self._config.min_width)
        path = self._path(model, whole, widths, budget)
        full = self._full_cost(whole, budget)
        done = self._last_saved()
        narrow = load_model(_round_file(self._ctx.stage_dir, done))[0] if done else model
        share, left = 1.0, dict(widths.full)
        for number in range(done + 1, self._config.rounds + 1):
            network = self._network(narrow)
            curve = self._curve(network, widths, path)
            cost = cost_of(budget.unit, curve, network.costs, self._measure(network))
            require_reachable(budget, cost)  # the last round's, before the first one trains
            share = choose(budget.after(full, number / self._config.rounds), cost)
            kept = curve(share)
            narrow, left = network.cut(kept), {root: len(channels) for root, channels in kept.items()}
            self._recover(narrow, teacher, number)
        return narrow, whole.rows(left), share

    def _network(self, model: nn.Module) -> PrunableNetwork:
        heads = output_modules(self._spec)
        return PrunableNetwork(model, self._spec.input_chw, heads=heads, protected=self._protected)

    def _curve(self, network: PrunableNetwork, widths: Widths, path: Sequence[Mapping[str, int]]) -> Curve:
        scores = self._scores(network)
        if path:
            return path_curve(path, scores)
        ranking = Ranking(self._config.scope, network.structures())

        def curve(share: float) -> dict[str, Tensor]:
            return allocate(scores, share, ranking, widths)

        return curve

    def _scores(self, network: PrunableNetwork) -> dict[str, Tensor]:
        batches = self._images.scoring() if self._config.importance in MEASURED else ()
        return network.scores(self._config.importance, self._images.loss, batches)

    def _path(
        self, model: nn.Module, whole: PrunableNetwork, widths: Widths, budget: PruningBudget
    ) -> Sequence[Mapping[str, int]]:
        """Measure what each group can spare, where it is asked for; return the widths that follow from it, or none."""
        if not (self._config.sensitivity or self._config.allocation == "sensitivity"):
            return ()
        folded = fold_batch_norm(model, self._spec.input_chw)
        found = measure_sensitivity(folded, whole.free, self._scores(whole), widths, self._images, self._ctx.reporter)
        self._tell(found)
        if self._config.allocation != "sensitivity":
            return ()
        return cheapest_cuts(found, whole.costs, "params" if budget.unit == "params" else "macs", widths.full)

    def _tell(self, found: GroupSensitivity) -> None:
        """Write the measured sensitivity as JSON and as a heat map, and say it as a table."""
        write_json(self._ctx.stage_dir / SENSITIVITY_JSON, found.as_json())
        title = f"Points of {METRICS[found.metric]} lost on {found.images} training images, by share of channels kept"
        cuts = [
            (root, point.keep, found.whole.accuracy_pct - point.accuracy_pct)
            for root, points in found.curves.items()
            for point in points
        ]
        write_heat_map(self._ctx.stage_dir / SENSITIVITY_SVG, title, list(found.curves), cuts, self._ctx.reporter)
        for line in sensitivity_table(found):
            self._ctx.reporter.info(line)

    def _full_cost(self, whole: PrunableNetwork, budget: PruningBudget) -> float:
        if budget.unit == "keep":
            return 1.0
        return self._measure(whole)({}) if budget.unit == "latency_ms" else whole.costs.count(budget.unit, {})

    def _measure(self, network: PrunableNetwork) -> Measure:
        def measure(kept: Mapping[str, Tensor]) -> float:
            latency_ms = exported_latency_ms({"cut": network.cut(kept)}, self._spec, self._config.runtime)["cut"]
            macs = network.costs.count("macs", kept)
            self._ctx.reporter.info(f"{macs:,} MACs take {latency_ms:.3f} ms in {self._config.runtime}")
            return latency_ms

        return measure

    def _last_saved(self) -> int:
        """Return the newest round but the last that was done before this attempt; 0 for none."""
        saved = [
            number for number in range(1, self._config.rounds) if _round_file(self._ctx.stage_dir, number).is_file()
        ]
        return max(saved, default=0)

    def _recover(self, narrow: nn.Module, teacher: nn.Module, number: int) -> None:
        """Train after a cut and keep the round; the last one is the stage's own result."""
        if self._config.recovery is None:
            return
        spec = describe(narrow, self._spec)
        self._ctx.reporter.info(f"round {number} of {self._config.rounds}: {spec.macs:,} MACs left, recovering")
        recover(
            narrow,
            spec,
            self._images,
            self._config.recovery,
            teacher=teacher,
            alpha=self._config.alpha,
            temperature=self._config.temperature,
            device=self._ctx.device,
        )
        if number < self._config.rounds:
            save_model(_round_file(self._ctx.stage_dir, number), narrow, spec)
            remove_checkpoint(self._ctx.stage_dir)


def sensitivity_table(found: GroupSensitivity) -> list[str]:
    """Return the lines that say what each group's cuts cost: points of accuracy lost at each width."""
    whole, name = found.whole.accuracy_pct, METRICS[found.metric]
    lines = [f"sensitivity, {found.images} training images, {name} {whole:.2f} % with all channels:"]
    for root, points in found.curves.items():
        cells = [f"{point.width}: {whole - point.accuracy_pct:+.1f}" for point in points]
        lines.append(f"  {root}: {', '.join(cells) or 'cannot be narrower'}")
    return [*lines, "  (channels kept: points of " + name + " lost, each group alone)"]


def remove_rounds(stage_dir: Path) -> None:
    """Remove what earlier rounds left, so that it is not sealed with the artifact."""
    for path in stage_dir.glob(_ROUND.format("*")):
        path.unlink()


def _round_file(stage_dir: Path, number: int) -> Path:
    return stage_dir / _ROUND.format(number)
