"""Weights that the libraries publish, over the network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

from torch import Tensor, nn

from compress.errors import DataError, UsageError
from compress.models.archs import ArchInfo


def published_weights(arch: str, info: ArchInfo) -> dict[str, Tensor]:
    """Return the ImageNet weights of an architecture by name, downloaded by torchvision or timm, or from their caches.

    Raises:
        UsageError: nobody publishes any.
        DataError: the download failed.
    """
    if info.imagenet is None:
        raise UsageError(
            f"nobody publishes ImageNet weights for '{arch}'",
            hint="use `weights: none`, or `weights: FILE.safetensors`",
        )
    try:
        return _torchvision_weights(arch) if info.imagenet == "torchvision" else _timm_weights(arch)
    except Exception as error:  # the libraries raise whatever their HTTP client raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the ImageNet weights of '{arch}' could not be downloaded: {reason}",
            hint="without a network, name a file: `weights: FILE.safetensors` (or `weights: none`)",
        ) from error


def _torchvision_weights(arch: str) -> dict[str, Tensor]:
    from torchvision.models import get_model_weights

    tensors: dict[str, Tensor] = get_model_weights(arch).DEFAULT.get_state_dict(progress=False, check_hash=True)
    return tensors


def _timm_weights(arch: str) -> dict[str, Tensor]:
    import timm

    with _hub_as_reached():
        network: nn.Module = timm.create_model(arch, pretrained=True)
    return network.state_dict()


@contextmanager
def _hub_as_reached() -> Iterator[None]:
    """Let timm's hub answer from its cache alone where its host has no address: it would try 12 times, for a minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _has_address(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _has_address(url: str) -> bool:
    """Return whether the host of a URL has an address; a proxy is asked for it otherwise."""
    if getproxies():
        return True
    parts = urlsplit(url)
    try:
        return bool(socket.getaddrinfo(parts.hostname, parts.port or parts.scheme))
    except OSError:
        return False
