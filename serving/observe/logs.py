"""Logs on stderr: a JSON object a line, or text for people when stderr is a terminal.

Every line that is written while a request is answered has its `request_id`. Keys never get into a line, whatever is
logged: what looks like one is cut down to its public id.
"""

from __future__ import annotations

import logging
import logging.config
import os
import re
import sys
import time
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from codec.errors import NacreError
from serving.observe.context import current_state

LEVEL_VARIABLE = "NACRE_LOG_LEVEL"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_KEY = re.compile(r"(nacre_[0-9a-f]{12}_)[0-9a-fA-F]+")
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]+", re.IGNORECASE)
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request_id"}


def configure_logging() -> None:
    """Write the log of this process to stderr, and nothing of it twice.

    The access logs of uvicorn and BentoML are silenced: ObserveMiddleware writes the line of each request. Call it
    after BentoML configured its own, which it replaces.

    Raises:
        NacreError: NACRE_LOG_LEVEL is no level.
    """
    level = os.environ.get(LEVEL_VARIABLE, "INFO").upper()
    if level not in LEVELS:
        raise NacreError(f"{LEVEL_VARIABLE} is {level!r}: it may be {', '.join(LEVELS)}")
    formatter = HumanFormatter if sys.stderr.isatty() else MachineFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request": {"()": RequestFilter}},
            "formatters": {"line": {"()": formatter}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "stream": "ext://sys.stderr",
                    "formatter": "line",
                    "filters": ["request"],
                }
            },
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {
                "nacre": {"level": level, "handlers": [], "propagate": True},
                "bentoml": {"level": "INFO", "handlers": [], "propagate": True},
                **{
                    name: _quiet()
                    for name in ("bentoml.access", "uvicorn", "uvicorn.access", "uvicorn.error", "circus")
                },
            },
        }
    )


class RequestFilter(logging.Filter):
    """Give each record the name of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything through."""
        if (state := current_state.get()) is not None and "request_id" in state:
            record.request_id = state["request_id"]
        return True


class MachineFormatter(JsonFormatter):
    """A JSON object a line."""

    def __init__(self) -> None:
        fields = ("asctime", "levelname", "name", "message")
        super().__init__(fields, rename_fields={"asctime": "time", "levelname": "level", "name": "logger"})

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Return the time in UTC, to the millisecond."""
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return _redact(super().format(record))


class HumanFormatter(logging.Formatter):
    """Time, level, message, and whatever else the record has as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, without a traceback."""
        # What libraries add to every record (Ray does) has names with an underscore.
        more = {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS and name[0] != "_"}
        more |= {"request_id": record.request_id} if hasattr(record, "request_id") else {}
        text = super().formatMessage(record) + "".join(f" {name}={value}" for name, value in more.items())
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback if there is one."""
        return _redact(super().format(record))


def _quiet() -> dict[str, Any]:
    return {"level": "WARNING", "handlers": [], "propagate": True}


def _redact(line: str) -> str:
    return _BEARER.sub(r"\1...", _KEY.sub(r"\1...", line))
