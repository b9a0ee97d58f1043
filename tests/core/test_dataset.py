from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.core.dataset import SplitFractions


@pytest.mark.parametrize("fraction", [-0.01, 1.0, 1.5])
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_takes_a_share_and_never_all(split: str, fraction: float) -> None:
    with pytest.raises(ValidationError, match=split):
        SplitFractions(**{split: fraction})
    assert getattr(SplitFractions(**{split: 0.0}), split) == 0
    assert getattr(SplitFractions(**{split: 0.99}), split) == 0.99
