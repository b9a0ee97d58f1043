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
        ("path;kind\na.png;x\n", r"list.csv:1: .*found path,kind"),
        ("file,image,label\na.png,a.png,x\n", r"list.csv:1: 'file' and 'image' could both be the path"),
        ("a.png,cat,dog\n", r"list.csv:1: no header, and three columns of which none is train, val or test"),
        ("a.png,cat,train,3\n", r"list.csv:1: no header, and 4 columns"),
        ("sep=|\npath|label\n", r"list.csv:1: 'sep=\|' names no comma or semicolon"),
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


@pytest.mark.parametrize(
    "text",
    [
        "path;label;split\na.png;cat;train\nb.png;dog;val\n",
        "path\tlabel\tsplit\na.png\tcat\ttrain\nb.png\tdog\tval\n",
        "Image Path,Class,Subset\na.png,cat,training\nb.png,dog,validation\n",
        "id,filename,label,comment,set\n7,a.png,cat,x,TRAIN\n8,b.png,dog,,dev\n",
        "a.png,cat,train\nb.png,dog,val\n",
        "train,a.png,cat\nval,b.png,dog\n",
        "sep=;\npath;label;split\na.png;cat;train\nb.png;dog;val\n",
        "path,label,split,,\na.png,cat,train,,\n\nb.png,dog,val,,\n",
        ".\\a.png,cat,train\n.\\b.png,dog,val\n",
    ],
    ids=["semicolons", "tabs", "other names", "more columns", "no header", "order", "excel", "empty cells", "windows"],
)
def test_tables_as_people_have_them(manifest: Path, text: str) -> None:
    manifest.write_text(text)
    listing = list_csv(manifest)
    assert {split: [(one.path.name, one.label) for one in entries] for split, entries in listing.splits.items()} == {
        "train": [("a.png", "cat")],
        "val": [("b.png", "dog")],
    }


def test_without_a_header_a_line_s_number_is_still_right(manifest: Path) -> None:
    manifest.write_text("a.png,cat\nb.png,\n")
    with pytest.raises(DataError, match=r"list.csv:2: 'label' is empty"):
        list_csv(manifest)
    manifest.write_text("sep=;\npath;label\na.png;cat\nb.png;\n")
    with pytest.raises(DataError, match=r"list.csv:4: 'label' is empty"):
        list_csv(manifest)


def test_images_in_a_folder_beside_are_pointed_out(manifest: Path) -> None:
    (manifest.parent / "images").mkdir()
    (manifest.parent / "a.png").rename(manifest.parent / "images" / "a.png")
    manifest.write_text("path,label\na.png,cat\n")
    with pytest.raises(DataError) as caught:
        list_csv(manifest)
    assert caught.value.hint.endswith("there is images/a.png: write that")
