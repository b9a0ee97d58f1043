"""One JSON object a line, whatever is in it, and a reader who stands still stops nobody."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import warnings
from datetime import UTC, datetime

import pytest

from compress.serve.http import json_log as module
from compress.serve.http.json_log import JsonLines, PatientLines, log_as_json


@pytest.fixture
def logger():
    """Return a logger of this test alone."""
    logger = logging.Logger("imgc.test", logging.INFO)
    yield logger
    for handler in logger.handlers:
        handler.close()


def written(logger, stream):
    (handler,) = logger.handlers
    handler.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_grave_who_and_what(logger):
    stream = io.StringIO()
    logger.addHandler(PatientLines(stream))
    before = datetime.now(UTC)
    logger.warning("%d of %s", 3, "four")
    (line,) = written(logger, stream)
    assert list(line) == ["time", "level", "logger", "message"]
    assert (line["level"], line["logger"], line["message"]) == ("warning", "imgc.test", "3 of four")
    when = datetime.fromisoformat(line["time"])
    assert when.tzinfo is not None
    assert abs((when - before).total_seconds()) < 60


def test_the_facts_of_a_request_are_fields(logger):
    stream = io.StringIO()
    logger.addHandler(PatientLines(stream))
    logger.info("request", extra={"facts": {"id": "a", "status": 200, "ms": 1.5}})
    (line,) = written(logger, stream)
    assert (line["id"], line["status"], line["ms"]) == ("a", 200, 1.5)


def test_a_traceback_stays_in_its_line(logger):
    stream = io.StringIO()
    logger.addHandler(PatientLines(stream))
    try:
        raise KeyError("lost\nand found")
    except KeyError:
        logger.exception("it failed")
    (line,) = written(logger, stream)
    assert line["message"] == "it failed"
    assert line["traceback"].startswith("Traceback")
    assert "KeyError" in line["traceback"]


@pytest.mark.parametrize(
    "text", ['a "quote"', "two\nlines\r\n", "\x00\x1b[31m", "größer 🙂", "\u2028", "\udce9 alone", ""]
)
def test_any_text_is_one_line_in_a_file_and_comes_back(logger, tmp_path, text):
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as file:
        logger.addHandler(PatientLines(file))
        logger.info("%s", text)
        logger.handlers[0].flush()
    data = path.read_bytes()
    assert data.count(b"\n") == 1
    assert json.loads(data)["message"] == text


def test_lines_keep_their_order(logger):
    stream = io.StringIO()
    logger.addHandler(PatientLines(stream))
    for number in range(200):
        logger.info("%d", number)
    assert [line["message"] for line in written(logger, stream)] == [str(number) for number in range(200)]


def test_a_reader_who_stands_still_stops_nobody_and_bounds_what_waits(logger, monkeypatch):
    monkeypatch.setattr(module, "_FLUSH_S", 0.05)
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, True)
        with open(writer, "w", closefd=False) as stream:
            logger.addHandler(PatientLines(stream))
            (handler,) = logger.handlers
            text = "x" * 1000
            done = threading.Thread(target=lambda: [logger.info(text) for _ in range(3000)], daemon=True)
            done.start()
            done.join(30)
            assert not done.is_alive(), "logging waited for the reader"
            assert handler.queue.qsize() <= module._WAITING
            handler.flush()  # gives up after its moment
            os.set_blocking(reader, False)
            while handler.queue.unfinished_tasks:  # lets the thread go
                try:
                    os.read(reader, 1 << 20)
                except BlockingIOError:
                    continue
    finally:
        os.close(reader)
        os.close(writer)


def test_a_stream_that_is_gone_harms_nobody(logger):
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        handler = PatientLines(stream)
        logger.handlers = [handler]
        logger.info("nobody hears")
        handler.flush()
        assert handler.queue.unfinished_tasks == 0


@pytest.fixture
def _loggers_put_back():
    names = ("imgc", "uvicorn", "uvicorn.error")
    before = {name: (logging.getLogger(name).handlers, *_state(name)) for name in names}
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # whatever servers of other tests made of it
    yield
    for name, (handlers, propagate, level) in before.items():
        one = logging.getLogger(name)
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def _state(name):
    one = logging.getLogger(name)
    return one.propagate, one.level


@pytest.mark.usefixtures("_loggers_put_back")
def test_the_server_s_log_and_uvicorn_s_warnings_go_to_standard_error(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with warnings.catch_warnings():
        log_as_json()
    logging.getLogger("imgc.access").info("request")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.error").warning("odd")
    logging.getLogger("imgc").handlers[0].flush()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["logger"], line["message"]) for line in lines] == [
        ("imgc.access", "request"),
        ("uvicorn.error", "odd"),
    ]


def test_the_formatter_alone_makes_one_line_of_a_record():
    record = logging.LogRecord("imgc", logging.ERROR, "", 0, "a\nb", None, None)
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["level"] == "error"
