from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from compress.core.digest import sha256_file
from compress.core.stage import SilentReporter
from compress.data.examine import content_sha256, examine


def test_finds_hash_and_reason_and_notices_a_change_of_equal_size(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    (exam,) = examine([path], tmp_path, SilentReporter())
    assert (exam.sha256, exam.reason) == (sha256_file(path), "")
    Image.new("RGB", (8, 8), (3, 2, 1)).save(path)
    os.utime(path, ns=(1, 1))
    assert content_sha256(path) == sha256_file(path) != exam.sha256
    assert examine([path], tmp_path, SilentReporter())[0].sha256 == sha256_file(path)


def test_unreadable_file_is_a_reason(tmp_path: Path) -> None:
    (exam,) = examine([tmp_path / "gone.png"], tmp_path, SilentReporter())
    assert exam.reason == "cannot be read: No such file or directory"
