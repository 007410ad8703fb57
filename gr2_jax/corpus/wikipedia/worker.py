"""A worker process of the local runner: Beam's own, which sends its log to the main process and prints nothing."""

import logging
import sys

if __name__ == "__main__":
    # A root logger with a handler is not given another one that prints to the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
