"""TensorFlow and seqio, imported only when data is read, without start-up messages and without the accelerators."""

import functools
import os
from types import ModuleType
from typing import NamedTuple

from gr2_jax.errors import UserError, install
from gr2_jax.terminal import native_messages_hidden


class Libraries(NamedTuple):
    tf: ModuleType
    seqio: ModuleType


@functools.cache
def libraries() -> Libraries:
    """Imports both (5-7 s, 0.8 GB); a `UserError` says how to install them."""
    try:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN logs a message for every dataset of integers
        with native_messages_hidden():
            import seqio
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")  # the accelerators belong to JAX
            tf.constant(0)  # starts the runtime, which logs messages of its own
    except ModuleNotFoundError as error:
        raise UserError(f"reading data needs {error.name}: {install('data')}") from error
    return Libraries(tf, seqio)
