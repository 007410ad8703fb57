"""TensorFlow and seqio, imported only when data is read, without start-up messages and without the accelerators."""

import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NamedTuple

from gr2_jax.errors import UserError, install


class Libraries(NamedTuple):
    tf: ModuleType
    seqio: ModuleType


@functools.cache
def libraries() -> Libraries:
    """Imports both (5-7 s, 0.8 GB); a `UserError` says how to install them."""
    try:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN logs a message for every dataset of integers
        with _native_messages_hidden():
            import seqio
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")  # the accelerators belong to JAX
            tf.constant(0)  # starts the runtime, which logs messages of its own
    except ModuleNotFoundError as error:
        raise UserError(f"reading data needs {error.name}: {install('data')}") from error
    return Libraries(tf, seqio)


@contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Sends file descriptor 2 to /dev/null: TensorFlow's C++ writes there before any log level is read."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
