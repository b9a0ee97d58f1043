from __future__ import annotations

import json

from compress.models.arch_names import ARCH_NAMES


def test_they_are_listed(imgc):
    listed = imgc("archs").stdout
    assert all(name in listed for name in ARCH_NAMES)
    assert "none: train from scratch" in listed
    facts = json.loads(imgc("archs", "--json").stdout)
    assert tuple(facts) == ARCH_NAMES
    assert facts["mobilenet_v3_small"]["params"] == 2_542_856
