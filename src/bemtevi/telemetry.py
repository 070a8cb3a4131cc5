"""Logs: what is told while the program works, on standard error.

Owns how a log line looks: for a person on a terminal, JSON for a machine. No text of a post and no secret
goes into one. Leaves to the callers what is told.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(*, verbose: bool, for_machine: bool, quiet: bool = False) -> None:
    """Set up the logs of this process. By the command line alone. `quiet`: only warnings."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if for_machine
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=28)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # these log error bodies and half answers themselves; we tell them in our own words
    for library in ("tweepy", "urllib3"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
