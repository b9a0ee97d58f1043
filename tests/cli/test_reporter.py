from __future__ import annotations

import io

import pytest

from compress.cli import reporter as module
from compress.cli.reporter import ConsoleReporter, PlainReporter, make_reporter
from compress.core.stage import SilentReporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_reporter_fits_the_stream():
    assert isinstance(make_reporter(quiet=False, stream=Terminal()), ConsoleReporter)
    assert isinstance(make_reporter(quiet=False, stream=io.StringIO()), PlainReporter)
    assert isinstance(make_reporter(quiet=True, stream=Terminal()), SilentReporter)


def test_plain_lines_can_be_parsed():
    stream = io.StringIO()
    plain = PlainReporter(stream)
    plain.info("hello [bold]")
    plain.warn("careful")
    with plain.progress("epoch 1/2", 4) as advance:
        advance()
        advance(3, note="loss 0.5")
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["info: hello [bold]", "warning: careful"]
    assert len(lines) == 3, "a quick bar is one line, at its end"
    assert lines[2].startswith("progress: epoch 1/2 4/4 100% ")
    assert lines[2].endswith("/s eta 0s loss 0.5")


def test_a_slow_bar_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch):
    now_s = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s[0])
    stream = io.StringIO()
    with PlainReporter(stream).progress("epoch", 10) as advance:
        for _ in range(10):
            now_s[0] += 4.0
            advance()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "progress: epoch 3/10 30% 0.2/s eta 28s"
    assert len(lines) == 4  # at 12, 24 and 36 s, and the end


def test_an_empty_bar_divides_by_nothing():
    stream = io.StringIO()
    with PlainReporter(stream).progress("nothing", 0):
        pass
    assert stream.getvalue() == "progress: nothing 0/0 100% 0.0/s eta unknown\n"


def test_a_failing_bar_claims_no_end():
    stream = io.StringIO()
    with pytest.raises(RuntimeError), PlainReporter(stream).progress("epoch", 10):
        raise RuntimeError
    assert stream.getvalue() == ""


def test_bars_nest_and_texts_keep_their_brackets():
    stream = Terminal()
    console = ConsoleReporter(stream)
    with console.progress("epochs [x]", 2) as outer:
        with console.progress("batches", 3) as inner:
            inner(3, note="loss 1.0")
            console.info("saved [red]file[/red]")
        outer()
        console.warn("[odd]")
    text = stream.getvalue()
    assert "saved [red]file[/red]" in text
    assert "[odd]" in text
    assert "epochs [x]" in text
    with console.progress("again", 1) as advance:
        advance()


def test_without_a_stream_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr", None)
    assert isinstance(make_reporter(quiet=False), SilentReporter)


@pytest.mark.parametrize("kind", [PlainReporter, ConsoleReporter])
def test_what_was_said_is_not_said_again(kind):
    stream = Terminal()
    reporter = kind(stream)
    for _ in range(3):
        reporter.info("split by class")
        reporter.warn("odd")
    reporter.info("another")
    assert [stream.getvalue().count(text) for text in ("split by class", "odd", "another")] == [1, 1, 1]
