"""`gr2 quickstart`: the built-in experiment, without a config file."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_run_options, run_settings
from gr2_jax.errors import UserError, nearest

HELP = "a trained retriever over the built-in collection, in minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", default="default", help="default (minutes) or tiny (numpy only, 1.5 minutes)")
    add_run_options(parser)


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.recipes.quickstart import PROFILES

    if options.profile not in PROFILES:
        raise UserError(f"--profile is '{options.profile}': {nearest(options.profile, PROFILES)}")
    return run_settings(PROFILES[options.profile], options, settings, "evaluate")
