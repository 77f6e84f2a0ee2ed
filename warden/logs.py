"""Structured logs: one line an event, with the request id; key=value for people, JSON for machines."""

import logging
import logging.config
import sys
from typing import Any

import structlog
from django.conf import settings

from warden.redaction import one_line, redacted

MANY_LINES = {"exception", "stack"}  # the rest is one line, whatever somebody put into it
QUIET = (
    "axes",
    "celery.app.trace",
    "celery.beat",
    "celery.worker.strategy",
    "django.server",
    "httpcore",
    "httpx",
    "kombu",
    "slack_sdk",
)


def redact(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Blanks secrets in every field, however deep, in messages and in the text of exceptions."""
    for name, value in event.items():
        if not name.startswith("_"):
            value = redacted(value, name)
            event[name] = one_line(value) if isinstance(value, str) and name not in MANY_LINES else value
    return event


def add_request_id(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Django says some lines about a request after the middleware that bound its id is done."""
    request_id = getattr(getattr(event.get("_record"), "request", None), "request_id", None)
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def configure() -> None:
    """Sends structlog and the standard library through one formatter to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        add_request_id,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.PRODUCTION
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": shared,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": settings.LOG_LEVEL.upper()},
            "loggers": {name: {"level": "WARNING"} for name in QUIET},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
