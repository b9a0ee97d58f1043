"""`imgc quantize` of a model of the bundled data set: where nobody names images, the bundled ones are calibrated on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress.cli.local_recipe import block_of, local_recipe
from compress.cli.one_stage import StageRequest, given_options
from compress.cli.run_files import short_path
from compress.core.formats import Format
from compress.errors import ImgcError
from compress.pipeline.current import current_run, find_artifact, load_run
from compress.recipe.load import is_model_file

if TYPE_CHECKING:
    from compress.core.stage import Reporter

_NAMED = {"calibration", "arch", "data"}  # options that say which images, or that no model is read


def with_bundled_calibration(request: StageRequest, reporter: Reporter) -> StageRequest:
    """Return the request with the bundled calibration images, if it names none and its model knows their classes.

    Any other request comes back as it is; what is wrong with it is told where it is carried out.

    Args:
        request: what a verb was asked for.
        reporter: is told which images were taken.
    """
    if request.kind != "quantize" or request.data or _NAMED & given_options(request):
        return request
    if request.knobs.get("scheme") == "int8_qat":  # needs labels
        return request
    local = local_recipe()
    if local.get("data") or _NAMED & block_of(local, [], request.kind).keys():
        return request
    try:
        labels = _labels_without_images(request)
    except ImgcError:
        return request
    from compress.data.defects.calibration import calibration_folder
    from compress.data.defects.image import LABELS

    if labels != LABELS:
        return request
    folder = calibration_folder()
    reporter.info(f"no images are named, and the model knows the bundled data set's classes: {_told(folder)}")
    return replace(request, knobs={**request.knobs, "calibration": str(folder)})


def _told(folder: Path) -> str:
    return f"calibrating on {short_path(folder)}; others: --calibration IMAGES"


def _labels_without_images(request: StageRequest) -> tuple[str, ...] | None:
    """Return the classes of the model that will be read; None where its run has images of its own.

    Raises:
        ImgcError: there is no such model.
    """
    try:
        run_dir = current_run(request.runs_dir, request.run)
    except ImgcError:
        run_dir = None
    if run_dir is not None and load_run(run_dir).recipe.data is not None:
        return None
    if request.source and is_model_file(request.source):
        from compress.runtime.open import open_predictor

        return open_predictor(Path(request.source)).spec.labels
    if run_dir is None:
        return None
    found = find_artifact(run_dir, request.source, formats=(Format.TORCH, Format.ONNX))
    return found.spec.labels if found.spec else None
