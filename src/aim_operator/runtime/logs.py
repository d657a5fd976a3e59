"""Structured logs to stderr: one JSON object a line for machines, or aligned text for people.

Configured once by the cli; every module logs through structlog.get_logger().
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any, Literal, TextIO, get_args

import structlog

from aim_operator.errors import UserError

Format = Literal["json", "console"]
_FIRST = ("timestamp", "level", "message")


def configure(
    log_format: str = "console",
    level: str = "info",
    *,
    stream: TextIO | None = None,
    also: Sequence[structlog.typing.Processor] = (),
) -> None:
    """Set format and level for the whole process. `also` may add fields to each line.

    Raises UserError for names it does not know.
    """
    if log_format not in get_args(Format):
        raise UserError(f"log format {log_format!r}: choose {' or '.join(get_args(Format))}")
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise UserError(f"log level {level!r}: choose debug, info, warning or error")
    target = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *also,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(log_format, target),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )


def _rendering(log_format: str, target: TextIO) -> list[Any]:
    if log_format == "json":
        return [
            structlog.processors.dict_tracebacks,
            structlog.processors.EventRenamer("message"),
            _in_order,
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _in_order(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put first what every line has, as people read them who have no other tool at hand."""
    first = {key: line[key] for key in _FIRST if key in line}
    return first | {key: value for key, value in line.items() if key not in first}
