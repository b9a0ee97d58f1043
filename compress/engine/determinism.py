"""`deterministic_algorithms`: torch may use only operations that give the same bits every time on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # read when cuBLAS first works; without it torch refuses every matrix product


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Inside the block, an operation without a reproducible kernel raises a RuntimeError, and cuDNN tries none out.

    On the CPU our training is reproducible as it is (same host, same number of threads): there it is a proof of that.
    """
    os.environ.setdefault(_CUBLAS, ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
