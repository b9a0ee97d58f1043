from __future__ import annotations

import pytest
import torch

from compress.engine.determinism import deterministic_algorithms


def _without_a_reproducible_kernel() -> torch.Tensor:
    """Return what `put_` gives; with accumulate=False its order is not defined, so torch refuses it."""
    return torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


def test_operations_that_are_not_reproducible_are_refused_inside_and_allowed_outside():
    _without_a_reproducible_kernel()
    with deterministic_algorithms(), pytest.raises(RuntimeError, match="deterministic"):
        _without_a_reproducible_kernel()
    _without_a_reproducible_kernel()


def _fail_inside() -> None:
    with deterministic_algorithms():
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
        raise ZeroDivisionError


def test_what_was_set_before_is_set_again_after_a_failure():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with pytest.raises(ZeroDivisionError):
            _fail_inside()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
