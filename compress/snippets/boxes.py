"""What a detector's `BoxCoding` is in the programs."""

from __future__ import annotations

import numpy as np

from compress.core.boxes import AnchorMap, BoxCoding
from compress.detect.coding import MAX_LOG_SIZE, Y_FIRST
from compress.snippets.phrases import MAPS, OF_ITS_CLASS, SHARES

_X_FIRST = (0, 1, 2, 3)


def box_phrases(coding: BoxCoding) -> dict[str, str]:
    """Return the code that scores boxes and holds them against each other, by its name in the templates."""
    better = OF_ITS_CLASS if coding.nms == "per_class" else dict.fromkeys(OF_ITS_CLASS, "")
    return {
        **{f"SHARES_{language}": code for language, code in SHARES[coding.activation].items()},
        **{f"BETTER_{language}": code for language, code in better.items()},
    }


def box_values(coding: BoxCoding) -> dict[str, str]:
    """Return the numbers, by their names in the templates."""
    order = ", ".join(map(str, Y_FIRST if coding.order == "yxhw" else _X_FIRST))
    scales = ", ".join(map(repr, coding.scales))
    return {
        "ORDER": f"[{order}]",
        "ORDER_C": order,
        "SCALES": f"[{scales}]",
        "SCALES_C": scales,
        "BACKGROUND": str(int(coding.background == "first")),
        "SCORE": repr(coding.score_threshold),
        "IOU": repr(coding.nms_iou),
        "CANDIDATES": str(coding.max_candidates),
        "BOXES": str(coding.max_boxes),
        "MAX_LOG_SIZE": repr(MAX_LOG_SIZE),
        **{
            f"MAPS_{language}": ",\n".join(_map(one, *forms) for one in coding.maps) for language, forms in MAPS.items()
        },
    }


def _map(one: AnchorMap, form: str, form_of_size: str) -> str:
    """Return one feature map; sizes in as few digits as give the same float32, which is what anchors are."""
    pairs = [map(str, np.array(size, np.float32)) for size in one.sizes]
    sizes = ", ".join(form_of_size.format(width=width, height=height) for width, height in pairs)
    return form.format(rows=one.rows, columns=one.columns, sizes=sizes)
