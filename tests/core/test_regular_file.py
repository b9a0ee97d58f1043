from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from compress.core.digest import sha256_file
from compress.core.regular_file import open_regular, read_regular
from compress.data.decode import BadImageError, decode
from compress.errors import ImgcError
from compress.recipe.load import read_text


@pytest.fixture(params=["pipe", "zero", "link to zero", "socket", "folder"])
def odd(request, tmp_path: Path) -> tuple[Path, str]:
    """Return something that is no regular file, and what it is said to be."""
    path = tmp_path / "model.onnx"
    if request.param == "pipe":
        os.mkfifo(path)
        return path, "a pipe"
    if request.param == "zero":
        return Path("/dev/zero"), "a device"
    if request.param == "link to zero":
        path.symlink_to("/dev/zero")
        return path, "a device"
    if request.param == "folder":
        path.mkdir()
        return path, "a folder"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path, ""


def test_what_is_no_regular_file_is_refused_at_once(odd: tuple[Path, str]):
    path, kind = odd
    with pytest.raises(OSError, match=kind or "No such device"):
        open_regular(path)


def test_every_door_refuses_it(odd: tuple[Path, str]):
    path, _ = odd
    with pytest.raises(OSError):  # noqa: PT011 - which one is tested above
        sha256_file(path)
    with pytest.raises(BadImageError, match="cannot be read"):
        decode(path)
    with pytest.raises(ImgcError, match="cannot be read"):
        read_text(path)


def test_a_regular_file_is_read_within_its_bound(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(path, 5) == read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 4)


def test_a_file_that_was_refused_is_closed(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(OSError, match="a pipe"):
            open_regular(tmp_path / "pipe")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
