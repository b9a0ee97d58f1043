import hashlib

from compress.core.digest import sha256_bytes, sha256_file, sha256_json


def test_digests_are_sha256(tmp_path):
    path = tmp_path / "big"
    data = b"x" * ((1 << 20) + 7)  # more than one chunk
    path.write_bytes(data)
    assert sha256_file(path) == sha256_bytes(data) == hashlib.sha256(data).hexdigest()


def test_json_digest_ignores_key_order_and_sees_values():
    assert sha256_json({"a": 1, "b": [1, 2]}) == sha256_json({"b": [1, 2], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})
    assert sha256_json([1, 2]) != sha256_json([2, 1])
