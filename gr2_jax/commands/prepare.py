"""`gr2 prepare CONFIG [OVERLAY ...]`: the collection, its split, the vocabulary and the training examples."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_config, run_config

HELP = "the collection, its split, the vocabulary and the training examples"

add_arguments = add_config


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    return run_config(options, settings, "prepare")
