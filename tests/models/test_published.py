from __future__ import annotations

import socket

import pytest
from huggingface_hub import constants

from compress.errors import DataError, UsageError
from compress.models import published
from compress.models.build import build_model, new_spec
from compress.models.weights import load_pretrained


def _no_address(*_args: object) -> list[object]:
    raise socket.gaierror(-2, "Name or service not known")


def test_a_failed_download_says_what_to_do(monkeypatch):
    monkeypatch.setattr(published, "_torchvision_weights", _no_address)
    spec = new_spec("mobilenet_v3_small", ["a"])
    with pytest.raises(DataError, match="Name or service not known") as caught:
        load_pretrained(build_model(spec), spec, "imagenet")
    assert "weights: FILE" in caught.value.hint
    tiny = new_spec("tiny", ["a"])
    with pytest.raises(UsageError, match="tiny"):
        load_pretrained(build_model(tiny), tiny, "imagenet")


def test_without_an_address_the_hub_is_asked_for_what_it_has_only(monkeypatch, tmp_path, capfd):
    """It would else try again 12 times, for a minute."""
    monkeypatch.setattr(published, "getproxies", dict)
    monkeypatch.setattr(published.socket, "getaddrinfo", _no_address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    spec = new_spec("mobilenetv2_100", ["a"])
    with pytest.raises(DataError, match="mobilenetv2_100"):
        load_pretrained(build_model(spec), spec, "imagenet")
    assert "Retrying" not in capfd.readouterr().err
    assert constants.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(("proxies", "found"), [({}, False), ({"https": "http://proxy:3128"}, True)])
def test_a_proxy_finds_the_address_itself(monkeypatch, proxies, found):
    monkeypatch.setattr(published, "getproxies", lambda: proxies)
    monkeypatch.setattr(published.socket, "getaddrinfo", _no_address)
    assert published._has_address("https://huggingface.co") is found
