"""Beam made quiet."""

import contextlib
import logging


@contextlib.contextmanager
def quiet():
    """Keeps Beam's chatter (below an error) out of the terminal."""
    loggers = [logging.getLogger(name) for name in ("apache_beam", "root")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def quiet_import():
    """Importing Beam warns of a client library that nothing here needs."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
