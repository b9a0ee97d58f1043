from pathlib import Path

from compress.core.cache import cache_dir


def test_the_environment_chooses(monkeypatch):
    monkeypatch.setenv("IMGC_CACHE", "/somewhere/else")
    assert cache_dir() == Path("/somewhere/else")
    monkeypatch.delenv("IMGC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_dir() == Path("/xdg/imgc")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "imgc"
