"""`gr2 train CONFIG [OVERLAY ...]`: the trained rows of the config."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_config, run_config

HELP = "the trained rows of the config"

add_arguments = add_config


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    return run_config(options, settings, "train")
