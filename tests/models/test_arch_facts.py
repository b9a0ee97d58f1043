from __future__ import annotations

import pytest

from compress.models.arch_facts import ARCH_FACTS
from compress.models.arch_names import ARCH_NAMES
from compress.models.archs import ARCHS


def test_the_table_has_every_architecture():
    assert tuple(ARCH_FACTS) == ARCH_NAMES
    for arch, facts in ARCH_FACTS.items():
        assert (facts.input_px, facts.weights) == (ARCHS[arch].input_px, ARCHS[arch].imagenet)


@pytest.mark.parametrize("arch", ARCH_NAMES)
def test_the_parameters_are_counted(arch):
    assert sum(one.numel() for one in ARCHS[arch].build(1000).parameters()) == ARCH_FACTS[arch].params
