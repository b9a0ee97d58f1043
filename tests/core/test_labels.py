from __future__ import annotations

import pytest

from compress.core.labels import labels_in
from compress.errors import UsageError


def test_one_name_a_line_in_their_order(tmp_path):
    (tmp_path / "labels.txt").write_bytes("\ufeffred\r\n dark green \r\n\r\nblå\r\n\n".encode())
    assert labels_in(tmp_path / "labels.txt") == ("red", "dark green", "", "blå")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "no class names"), (b"caf\xe9", "no UTF-8"), (None, "cannot be read")]
)
def test_what_holds_no_names_is_said(tmp_path, content, words):
    if content is not None:
        (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        labels_in(tmp_path / "labels.txt")
