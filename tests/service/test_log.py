import contextlib
import json
import logging
import os

import pytest

from energyd.service import stdlog
from energyd.service.log import Log, line


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("text", "WARNING energyd.rapl: gone"),
        ("journal", "<4>energyd.rapl: gone"),
        ("json", '{"level": "warning", "name": "energyd.rapl", "message": "gone"}'),
    ],
)
def test_readers_and_libraries_write_the_same_lines(style, expected, capsys):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        stdlog.setup("energyd.rapl", "info", style).warning("%s", "gone")
    finally:
        root.handlers[:], root.level = handlers, level
    Log("energyd.rapl", "info", style).warning("gone")

    assert capsys.readouterr().err == f"{expected}\n{expected}\n"
    assert line(style, "warning", "energyd.rapl", "gone") == expected


def test_what_is_less_severe_than_asked_for_is_not_written(capsys):
    log = Log("energyd.rapl", "warning", "text")
    log.info("a zone")
    log.warning("no zone")
    log.error("no directory")

    assert capsys.readouterr().err == "WARNING energyd.rapl: no zone\nERROR energyd.rapl: no directory\n"


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    for stream in (os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", buffering=1), os.fdopen(writer, "w", buffering=1)):
        Log("energyd.rapl", "info", "text", stream).error("the disk is full, or who read has gone")
        with contextlib.suppress(OSError):  # it tries once more
            stream.close()
        Log("energyd.rapl", "info", "text", stream).error("closed")
    monkeypatch.setattr("sys.stderr", None)
    Log("energyd.rapl", "info", "text").error("nobody has given us a stderr")


@pytest.mark.parametrize("style", ["text", "journal"])
def test_a_fault_of_ours_is_written_with_its_traceback(style):
    try:
        raise AssertionError("BUG: impossible")
    except AssertionError as fault:
        record = logging.LogRecord("aiohttp", logging.ERROR, "", 0, "Error handling request", (), (type(fault), fault, None))

    first, *rest = stdlog.Lines(style).format(record).splitlines()

    assert first == line(style, "error", "aiohttp", "Error handling request")
    assert rest == ["AssertionError: BUG: impossible"]


def test_a_line_of_json_is_one_line_traceback_and_all():
    record = logging.LogRecord("aiohttp", logging.ERROR, "", 0, "one\ntwo", (), (ValueError, ValueError("x"), None))
    text = stdlog.Lines("json").format(record)

    assert "\n" not in text
    assert json.loads(text) == {"level": "error", "name": "aiohttp", "message": "one\ntwo\nValueError: x"}


def test_a_level_of_a_library_that_has_no_priority_is_information():
    assert line("journal", "level 25", "aiohttp", "x") == "<6>aiohttp: x"
