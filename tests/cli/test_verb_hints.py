from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compress.cli.one_stage import StageRequest, draft_stage
from compress.cli.verb_hints import for_verb
from compress.errors import RecipeError

TRAIN = {"kind": "train", "arch": "tiny", "weights": "none"}


def _refused(kind: str, **changes: object) -> RecipeError:
    given: dict[str, object] = {"source": None, "sets": [], "run": None, "data": None, "runs_dir": Path("runs")}
    with pytest.raises(RecipeError) as raised:
        draft_stage(StageRequest(kind=kind, device="cpu", **{"knobs": {}, **given, **changes}))  # type: ignore[arg-type]
    return raised.value


@pytest.mark.parametrize("kind", ["prune", "distill", "quantize"])
def test_without_images_it_names_the_option(folder: Path, kind: str):
    (folder / "m.safetensors").write_bytes(b"x")
    error = _refused(kind, source="m.safetensors")
    assert "reads images, and neither the run nor ./imgc.yaml names any" in error.message
    assert "--data DIR" in error.hint
    assert ("--calibration DIR" in error.hint) is (kind == "quantize")
    assert "kind:" not in error.hint


def test_without_a_train_stage_it_names_the_option(folder: Path):
    (folder / "photos").mkdir()
    (folder / "m.safetensors").write_bytes(b"x")
    error = _refused("distill", source="m.safetensors", data=Path("photos"))
    assert "as its teacher" in error.message
    assert error.hint == "name a teacher with --teacher STAGE|FILE"


def test_two_budgets_are_named_as_one_types_them(folder: Path, make_run: Callable[..., Path]):
    make_run("r", [TRAIN])
    error = _refused("prune", knobs={"keep": 0.5, "target_macs": 0.5})
    assert error.message.endswith("give one budget, found --keep and --target-macs")
    assert error.hint == "give one of --keep, --target-macs, --target-params, --target-latency-ms"


def test_without_a_model_it_names_the_option():
    error = RecipeError("stage 'export' needs torch", code="no-input", facts={"instead": None})
    assert for_verb(error, "export").hint == "name a model with --from STAGE|FILE"
    error = RecipeError("stage 'quantize' needs torch", code="no-input", facts={"instead": ("arch", "weights")})
    assert for_verb(error, "quantize").hint == "name a model with --from STAGE|FILE, or --arch and --weights"


def test_other_hints_stay_and_none_is_the_help():
    assert for_verb(RecipeError("x", hint="move it"), "prune").hint == "move it"
    near = RecipeError("x", hint="did you mean 'y'? `imgc plan` checks", code="extra-forbidden", facts={"nearest": "y"})
    assert for_verb(near, "prune").hint == "did you mean 'y'?"
    near.facts["nearest"] = ""
    assert for_verb(near, "prune").hint == "see: imgc prune --help"
    assert for_verb(RecipeError("x"), "prune").hint == "see: imgc prune --help"
