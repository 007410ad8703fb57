"""`gr2 run CONFIG [OVERLAY ...]`: every stage of a config, doing only what is not yet done."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_config, run_config

HELP = "every stage of a config, doing only what is not yet done"

add_arguments = add_config


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    return run_config(options, settings, "evaluate")
