"""Hides Beam's log messages."""

import contextlib
import logging


@contextlib.contextmanager
def quiet():
    """Hides Beam's log messages, of errors too: those are raised as well."""
    loggers = [logging.getLogger(name) for name in ("apache_beam", "root")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def quiet_import():
    """Hides the warning of importing Beam about a client library that is not needed here."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
