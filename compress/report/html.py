"""`report.html`: a run as one file that needs no network and no script, for a phone and a desk, light and dark.

Every number in it, but for the ticks of axes, is one of `report.json`, rounded by `compress.report.table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Row
from compress.package import install_command
from compress.report.accuracy import accuracy_name, accuracy_title
from compress.report.html_changes import change_sections
from compress.report.html_precision import precision_sections
from compress.report.json_report import GateRow, Report
from compress.report.markup import (
    definitions,
    details,
    escape,
    figures,
    paragraph,
    preformatted,
    section,
    table,
)
from compress.report.numbers import count_text, digits_text, number_text, size_text
from compress.report.ops_table import NODE_COLUMNS, node_cells
from compress.report.ship import float_twin
from compress.report.siblings import sibling_line
from compress.report.sweep_table import CALLERS_COLUMNS, SWEEP_COLUMNS, callers_cells, sweep_cells
from compress.report.table import TEXT_COLUMNS, columns, host_text, setting_text, table_rows

NO_CHARTS = f"report.html has no charts: `{install_command('report')}` brings what draws them"
_PAGE = Path(__file__).parent / "page"
_SLOWEST = 10  # operators of a profile that are shown at once
_Drawings = Mapping[str, str]


def to_html(report: Report) -> str:
    """Return the report as a page; without the extra `report` it has all tables and says that charts are missing."""
    drawings = _drawings(report)
    notes = report.notes if drawings is not None else (f"{NO_CHARTS}.", *report.notes)
    found = list(_sections(report, drawings or {}))
    return Template((_PAGE / "report.html").read_text(encoding="utf-8")).substitute(
        run=escape(report.run),
        style=(_PAGE / "report.css").read_text(encoding="utf-8"),
        head="\n".join(part for part in _head(report, notes) if part),
        sections="\n".join(part for part in found if part),
    )


def has_charts() -> bool:
    """Return whether what draws charts is installed."""
    try:
        import compress.report.charts  # noqa: F401 - asked for, not used
    except ImportError:
        return False
    return True


def _drawings(report: Report) -> dict[str, str] | None:
    if not has_charts():
        return None
    from compress.report.charts import draw

    return draw(report)


def _head(report: Report, notes: tuple[str, ...]) -> Iterator[str]:
    yield _verdict(report.gates)
    yield _from_to(report)
    if measured := setting_text(report):
        yield paragraph(f"Measured: {measured}.", "soft")
        yield paragraph(host_text(report.host), "soft")
    else:
        yield paragraph("Not benchmarked yet: `imgc benchmark` measures the models of the run.", "warn")
    yield from (paragraph(note, "warn") for note in notes)


def _verdict(gates: tuple[GateRow, ...]) -> str:
    if not gates:
        return paragraph("The recipe has no gates.", "soft")
    broken = [f"{gate.metric} at {gate.at}" for gate in gates if not gate.passed]
    if broken:
        return paragraph(f"Gates broken: {', '.join(broken)}.", "verdict bad")
    return paragraph("All gates hold.", "verdict good")


def _from_to(report: Report) -> str:
    """Return the baseline's figures and those of the last other model that was measured."""
    measured = [row for row in report.rows if accuracy_of(row).pct is not None]
    first = next((row for row in measured if row.stage == report.baseline), None)
    last = next((row for row in reversed(measured) if row.stage != report.baseline), None)
    if first is None or last is None:
        return ""
    before, after = _figures_of(first), _figures_of(last)
    pairs = [("model", f"{first.stage} → {last.stage}")]
    pairs += [(name, f"{before[name]} → {after[name]}") for name in before]
    return definitions([*pairs, _times(last, float_twin(last, report.rows))], "tiles")


def _figures_of(row: Row) -> dict[str, str]:
    return {
        "size": size_text(row.size_bytes),
        "MACs": count_text(row.macs),
        f"{accuracy_name([row])} %": number_text(accuracy_of(row).pct, 2),
    }


def _times(row: Row, twin: Row | None) -> tuple[str, str]:
    """Return the median; two runtimes differ by more than a model does, so that only its own is compared with."""
    own = number_text(row.latency_p50_ms, 2)
    if twin is None:
        return f"median ms, {row.format.value}", own
    return f"median ms, both {row.format.value}", f"{number_text(twin.latency_p50_ms, 2)} → {own}"


def _sections(report: Report, drawings: _Drawings) -> Iterator[str]:
    yield _results(report, drawings)
    yield _trades(report, drawings)
    yield from _speed(report)
    yield from precision_sections(report, drawings)
    yield from change_sections(report, drawings)
    yield from _layers(report, drawings)
    yield from _training(report, drawings)
    yield section("Gates", table(("gate", "at", "limit", "value", "result"), map(_gate_cells, report.gates), 2))
    yield section("Against the stock narrower network", *(paragraph(sibling_line(row)) for row in report.siblings))
    yield from _remote_benchmarks(report)
    yield section("Stages", table(("stage", "kind", "reads", "seconds", ""), _stage_cells(report), 3))
    yield section("Environment", definitions(_facts(report.environment)))
    yield section("Recipe", details("The recipe as it was given", preformatted(report.recipe)))
    yield section("How to repeat it", preformatted("\n".join(report.commands)), _REPEAT)
    if report.ship:
        facts, commands = " ".join(report.ship.facts), "\n".join(report.ship.commands)
        yield section("Ship this file", preformatted(report.ship.path), paragraph(facts), preformatted(commands))


_FRONT = "Green and joined: the Pareto front, models that no other beats in both. Upright lines: 95 % intervals."
_REPEAT = paragraph(
    "Same recipe, seed and data give the same files (sha256 in report.json); times differ by machine.", "soft"
)


def _results(report: Report, drawings: _Drawings) -> str:
    captions = {
        "size": "Size of the file",
        "macs": "Multiply-accumulates of one image",
        "accuracy": f"{accuracy_title(report.rows)}, with its 95 % interval",
        "latency": "Median latency of one call",
    }
    return section(
        "Each model of the run",
        figures(drawings, captions),
        table(columns(report.rows), table_rows(report.rows), TEXT_COLUMNS),
    )


def _trades(report: Report, drawings: _Drawings) -> str:
    name = accuracy_title(report.rows)
    captions = {
        "accuracy-latency": f"{name} against median latency",
        "accuracy-size": f"{name} against size",
    }
    drawn = figures(drawings, captions)
    return section("What accuracy costs", paragraph(_FRONT, "soft"), drawn) if drawn else ""


def _speed(report: Report) -> Iterator[str]:
    """Return what else the benchmark timed, where the recipe asked for it."""
    yield section("Threads and images in a call", table(SWEEP_COLUMNS, sweep_cells(report.rows)))
    yield section("Callers at once", table(CALLERS_COLUMNS, callers_cells(report.rows)))
    for row in report.rows:
        slowest = table(NODE_COLUMNS, node_cells(row.ops, _SLOWEST), 2)
        every = table(NODE_COLUMNS, node_cells(row.ops, len(row.ops)), 2) if len(row.ops) > _SLOWEST else ""
        yield section(f"Where the time goes: {row.stage}", slowest, details("All operators", every))


def _layers(report: Report, drawings: _Drawings) -> Iterator[str]:
    for costs in report.layer_costs:
        cut = any(one.cuts for one in costs.layers)
        how = "One group at a time is cut, all others whole" if cut else "One layer at a time is int8, all else float"
        said = f"{how}; {costs.images} images ({costs.judged_on}), the dearest first."
        name = f"layers-{costs.stage}"
        caption = f"Points of {costs.measure} lost" if cut else "Divergence from the float model's answers, nats"
        rows = [(one.name, digits_text(one.kl), number_text(one.drop_pp, 2)) for one in costs.layers]
        yield section(
            f"What each layer costs: {costs.stage}",
            paragraph(said, "soft"),
            figures(drawings, {name: caption}),
            details("All layers", table(("layer", "divergence, nats", f"{costs.measure} lost, pp"), rows)),
        )


def _training(report: Report, drawings: _Drawings) -> Iterator[str]:
    for curve in report.curves:
        rows = [
            (str(one.epoch), f"{one.train_loss:.4f}", number_text(one.val_pct, 2), f"{one.lr:.2e}")
            for one in curve.epochs
        ]
        captions = {f"loss-{curve.stage}": "Training loss", f"val-{curve.stage}": "Validation accuracy"}
        yield section(
            f"Training: {curve.stage}",
            figures(drawings, captions),
            details("All epochs", table(("epoch", "loss", curve.measure, "learning rate"), rows)),
        )


def _gate_cells(gate: GateRow) -> tuple[str, ...]:
    value = "not measured" if gate.value is None else f"{gate.value:.10g}"
    return (gate.metric, gate.at, f"{gate.limit:.10g}", value, "pass" if gate.passed else "FAIL")


def _remote_benchmarks(report: Report) -> Iterator[str]:
    for bench in report.elsewhere:
        yield section(
            "On another machine",
            paragraph(host_text(bench.host), "soft"),
            table(columns(bench.rows), table_rows(bench.rows), TEXT_COLUMNS),
        )


def _stage_cells(report: Report) -> list[tuple[str, ...]]:
    return [
        (
            stage.id,
            stage.kind,
            ", ".join(stage.reads.values()) or "images",
            number_text(stage.seconds, 1),
            "taken from another run" if stage.reused else "",
        )
        for stage in report.stages
    ]


def _facts(environment: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in environment.items():
        if name == "schema_version":
            continue
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{key} {one}" for key, one in value.items())
        elif isinstance(value, list):
            yield name, ", ".join(str(one) for one in value)
        else:
            yield name, str(value)
