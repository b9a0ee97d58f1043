"""What the forks of `tests.chain.forked` find imported already."""

import timm  # noqa: F401
import torch  # noqa: F401
import torchvision  # noqa: F401

import tests.exports  # noqa: F401 - and with it torch's exporter
