from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from compress.data.csv_manifest import list_csv
from compress.errors import DataError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return tmp_path / "list.csv"


def test_reads_splits_in_name_order(manifest: Path) -> None:
    manifest.write_text(
        "\ufefflabel,path,split\ndog, c.png,train\ncat,a.png,Train\ncat,b.png,valid\n", encoding="utf-8"
    )
    listing = list_csv(manifest)
    assert [entry.name for entry in listing.splits["train"]] == ["a.png", "c.png"]
    assert [(entry.path, entry.label) for entry in listing.splits["val"]] == [(manifest.parent / "b.png", "cat")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"list.csv:1: expected the columns .* found an empty file"),
        ("path;label\na.png;x\n", r"list.csv:1: .*found path;label"),
        ("path,label\na.png,cat\nb.png,\n", r"list.csv:3: 'label' is empty"),
        ("path,label\na.png,cat\n,dog\n", r"list.csv:3: 'path' is empty"),
        ("path,label\na.png\n", r"list.csv:2: 'label' is empty"),
        ("path,label\na.png,cat,dog\n", r"list.csv:2: more fields than columns"),
        ("path,label,split\na.png,cat,holdout\n", r"list.csv:2: split 'holdout' \(allowed: train, val, test\)"),
        ("path,label\na.png,cat\nb.png,cat\na.png,dog\n", r"list.csv:4: 'a.png' is listed already in line 2"),
        ("path,label\nx.png,cat\na.png,cat\ny.png,dog\n", r"2 listed files do not exist:\n  .*list.csv:2: x.png"),
        ("path,label,split\na.png,cat,test\n", r"no training images \(found test\)"),
        ('path,label\n"a.png,cat\n', r"list.csv:2: "),
    ],
)
def test_errors_name_file_and_line(manifest: Path, text: str, message: str) -> None:
    manifest.write_text(text)
    with pytest.raises(DataError, match=message):
        list_csv(manifest)


def test_unreadable_manifests(manifest: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        list_csv(manifest)
    manifest.write_bytes("path,label\nä.png,x\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        list_csv(manifest)
