"""Brightness, contrast and saturation of a batch with one factor an image. Images are float, 0..255, N C=3 H W."""

from __future__ import annotations

import torch

_LUMA = (0.2989, 0.587, 0.114)  # ITU-R 601-2, as torchvision


def blend_brightness(images_NCHW: torch.Tensor, factors_N: torch.Tensor) -> torch.Tensor:
    """Return factor * image, clamped to 0..255."""
    return (images_NCHW * _per_image(factors_N)).clamp_(0.0, 255.0)


def blend_contrast(images_NCHW: torch.Tensor, factors_N: torch.Tensor) -> torch.Tensor:
    """Return the images blended with their mean grey; factor 0 is grey, 1 the image, more than 1 stronger."""
    mean_N111 = _grey(images_NCHW).mean(dim=(1, 2, 3), keepdim=True)
    return mean_N111.lerp(images_NCHW, _per_image(factors_N)).clamp_(0.0, 255.0)


def blend_saturation(images_NCHW: torch.Tensor, factors_N: torch.Tensor) -> torch.Tensor:
    """Return the images blended with their grey version; factor 0 is grey, 1 the image, more than 1 stronger."""
    return _grey(images_NCHW).lerp(images_NCHW, _per_image(factors_N)).clamp_(0.0, 255.0)


def auto_contrast(images_NCHW: torch.Tensor) -> torch.Tensor:
    """Return the images with each channel stretched to 0..255; a flat channel stays as it is."""
    low = images_NCHW.amin(dim=(2, 3), keepdim=True)
    spread = images_NCHW.amax(dim=(2, 3), keepdim=True) - low
    return torch.where(spread > 0.0, (images_NCHW - low) * (255.0 / spread.clamp_min(1e-6)), images_NCHW)


def _grey(images_NCHW: torch.Tensor) -> torch.Tensor:
    red, green, blue = images_NCHW.unbind(1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue).unsqueeze(1)


def _per_image(factors_N: torch.Tensor) -> torch.Tensor:
    return factors_N.reshape(-1, 1, 1, 1)
