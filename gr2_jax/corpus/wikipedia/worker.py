"""A worker process of the local runner: Beam's worker, but it only logs to the main process and prints nothing."""

import logging
import sys

if __name__ == "__main__":
    # If the root logger has a handler, Beam does not add one that prints to the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
