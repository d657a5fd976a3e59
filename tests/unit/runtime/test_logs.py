"""One JSON object a line for machines, aligned text for people."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from aim_operator.errors import UserError
from aim_operator.runtime import logs


def test_json_is_one_object_a_line() -> None:
    """With level, time and traceback as fields."""
    stream = io.StringIO()
    logs.configure("json", stream=stream)
    log = structlog.get_logger("x")
    try:
        int("oh\nno")
    except ValueError:
        log.exception("failed", key="Widget team/a")
    log.debug("unseen")
    (line,) = stream.getvalue().splitlines()
    got = json.loads(line)
    assert (got["message"], got["level"], got["key"]) == ("failed", "error", "Widget team/a")
    assert got["timestamp"].endswith("Z")
    assert list(got)[:3] == ["timestamp", "level", "message"]
    assert got["exception"][0]["exc_type"] == "ValueError"


def test_console_is_for_people() -> None:
    """No colours into files."""
    stream = io.StringIO()
    logs.configure("console", "debug", stream=stream)
    structlog.get_logger("x").debug("seen", n=1)
    assert "seen" in stream.getvalue()
    assert "n=1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(("log_format", "level"), [("xml", "info"), ("json", "loud")])
def test_unknown_names_are_said(log_format: str, level: str) -> None:
    """With the choices."""
    with pytest.raises(UserError, match="choose"):
        logs.configure(log_format, level)
