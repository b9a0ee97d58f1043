from __future__ import annotations

from pathlib import Path

import pytest

from compress.errors import UsageError
from compress.tune.devices import device_names, read_device


def test_each_device_that_comes_along_can_be_read_and_says_where_its_figures_come_from():
    assert device_names() == ["nucleo-l4r5zi", "pixel-2", "raspberry-pi-4"]
    for name in device_names():
        device = read_device(name)
        assert device.source
        assert device.ms_per_mmac or device.max_memory_bytes


def test_a_file_is_read_as_well(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("name: mine\nsource: me\nmax_latency_ms: 5\n")
    assert read_device(str(tmp_path / "mine.yaml")).max_latency_ms == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "no YAML"),
        ("name: a\nsource: b\nram: 3\n", "ram"),
        ("name: a\nsource: b\nmax_size_bytes: -1\n", "max_size"),
    ],
)
def test_a_bad_file_names_what_is_wrong(tmp_path: Path, text: str, said: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_device(str(path))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match="pixel-2"):
        read_device("pixel-9")
