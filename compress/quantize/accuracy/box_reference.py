"""What a quantized detector's file is worth: its boxes beside the float model's, and beside the known ones.

Letters: N images, H and W pixels, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from compress.core.artifact import Metrics
from compress.core.boxes import BoxCoding
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter
from compress.data.boxes import BoxLabels
from compress.data.dataset import Split
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import Placement, normalize, placement
from compress.detect.answers import Boxes, above, boxes_of
from compress.detect.geometry import in_image
from compress.detect.match import agreement_pct
from compress.detect.precision import EVAL_THRESHOLD, average_precision
from compress.engine.detection.losses import foreground, score_divergence
from compress.models.build import evaluating
from compress.quantize.accuracy.reference import AnswerLoss, Outputs, sqnr_db
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.runtime.detector import Detector, open_detector

_BATCH = 16


@dataclass(frozen=True)
class BoxReference:
    """A `Reference` for detectors.

    Attributes:
        pixels_NHWC: uint8, as the network sees them.
        spec: of the network.
        coding: of its numbers.
        float_N: the float model's boxes, in shares of the square, from the least score that mAP looks at.
        places_N: where the squares lie in their images; None where no boxes are known.
        known_N: the known boxes; None where nobody drew any.
        what: what the images are.
    """

    pixels_NHWC: NDArray[np.uint8]
    spec: ModelSpec
    coding: BoxCoding
    float_N: tuple[Boxes, ...]
    places_N: tuple[Placement, ...] | None
    known_N: tuple[BoxLabels, ...] | None
    what: str

    metric: ClassVar[Literal["map"]] = "map"
    alike: ClassVar[str] = "boxes"

    @property
    def is_labelled(self) -> bool:
        """Return whether the boxes are known."""
        return self.known_N is not None

    def on(self, chosen: Sequence[int]) -> BoxReference:
        """Return the reference on some of the images."""
        places, known = self.places_N, self.known_N
        return replace(
            self,
            pixels_NHWC=self.pixels_NHWC[np.asarray(chosen)],
            float_N=tuple(self.float_N[index] for index in chosen),
            places_N=None if places is None else tuple(places[index] for index in chosen),
            known_N=None if known is None else tuple(known[index] for index in chosen),
        )

    def opened(self, path: Path) -> Detector:
        """Return a detector's file, ready to run."""
        return open_detector(path)

    def measure(self, path: Path, reporter: Reporter) -> Metrics:
        """Return how a file answers: agreement_pct is the share of boxes that match, see `agreement_pct`."""
        detector, found = self.opened(path), list[Boxes]()
        with reporter.progress(f"evaluate {path.name}", len(self.pixels_NHWC)) as advance:
            for start in range(0, len(self.pixels_NHWC), _BATCH):
                part = self.pixels_NHWC[start : start + _BATCH]
                found += boxes_of(*detector.answers(normalize(part, self.spec.preprocess)), _wide(self.coding))
                advance(len(part))
        metrics: Metrics = {}
        if self.known_N is not None:
            metrics |= {"map_pct": self._map_pct(found), "float_map_pct": self._map_pct(self.float_N)}
        return metrics | {
            "agreement_pct": self._agreement_pct(self.float_N, found),
            "judged_images": len(self.pixels_NHWC),
            "judged_on": self.what,
        }

    def compare(self, wanted: Outputs, found: Outputs) -> AnswerLoss:
        """Return how far boxes and logits are from others; the divergence is for each anchor that sees something.

        Boxes are those that the file shows: to look at all down to the least score takes thirty times as long, and this
        is asked once a layer.
        """
        boxes, others = (boxes_of(one[0], one[1], self.coding) for one in (wanted, found))
        before, after = torch.from_numpy(wanted[1]), torch.from_numpy(found[1])
        seen = foreground(before, self.coding).sum().clamp(min=1.0)
        count = len(self.pixels_NHWC)
        return AnswerLoss(
            sqnr_db=sqnr_db(wanted[1].reshape(count, -1), found[1].reshape(count, -1)),
            kl=max(0.0, float(score_divergence(after, before, self.coding).sum() / seen)),
            agreement_pct=self._agreement_pct(boxes, others),
            accuracy_pct=None if self.known_N is None else self._map_pct(others),
        )

    def told(self, metrics: Metrics) -> str:
        """Return what `measure` found in words."""
        precision = ""
        if "map_pct" in metrics:
            precision = f"mAP {metrics['map_pct']:.2f} % (float {metrics['float_map_pct']:.2f} %), "
        return (
            f"{precision}{metrics['agreement_pct']:.2f} % of the boxes as the float model's on "
            f"{metrics['judged_images']} {metrics['judged_on']} (score {self.coding.score_threshold:g} and more)"
        )

    def _map_pct(self, found: Sequence[Boxes]) -> float:
        assert self.known_N is not None
        assert self.places_N is not None
        placed = [in_image(boxes, place) for boxes, place in zip(found, self.places_N, strict=True)]
        return average_precision(self.known_N, placed, self.spec.num_classes).map_pct

    def _agreement_pct(self, wanted: Sequence[Boxes], found: Sequence[Boxes]) -> float:
        least = self.coding.score_threshold
        return agreement_pct([above(one, least) for one in wanted], [above(one, least) for one in found])


def _wide(coding: BoxCoding) -> BoxCoding:
    """Return the coding with the least score that mAP looks at."""
    return coding.model_copy(update={"score_threshold": min(EVAL_THRESHOLD, coding.score_threshold)})


def box_reference_of(
    graph: TorchGraph, split: Split, spec: ModelSpec, what: str, reporter: Reporter, *, labelled: bool
) -> BoxReference:
    """Return what a float detector answers on these images, to judge others by."""
    assert spec.boxes is not None
    pixels_NHWC = evaluation_pixels(split, spec.preprocess, reporter)
    found: list[Boxes] = []
    with evaluating(graph), torch.inference_mode():
        for start in range(0, len(pixels_NHWC), _BATCH):
            images_NCHW = torch.from_numpy(normalize(pixels_NHWC[start : start + _BATCH], spec.preprocess))
            raw, logits = graph(images_NCHW.contiguous(memory_format=torch.channels_last))
            found += boxes_of(raw.numpy(), logits.numpy(), _wide(spec.boxes))
    return BoxReference(
        pixels_NHWC=pixels_NHWC,
        spec=spec,
        coding=spec.boxes,
        float_N=tuple(found),
        places_N=tuple(placement(boxes.size, spec.preprocess) for boxes in split.boxes_N) if labelled else None,
        known_N=tuple(split.boxes_N) if labelled else None,
        what=what,
    )
