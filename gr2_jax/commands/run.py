"""`gr2 run CONFIG [OVERLAY ...]`, or `gr2 run SOURCE`: every stage, doing only what is not yet done."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_config, run_config, run_settings
from gr2_jax.errors import UserError

HELP = "every stage of a config, or of a collection, doing only what is not yet done"

add_arguments = add_config


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.corpus import names_a_collection

    source = options.config[0]
    if not names_a_collection(source):
        return run_config(options, settings, "evaluate")
    from gr2_jax.recipes.index import compared, refuse_other_source, surveyed_experiment

    if len(options.config) > 1:
        raise UserError(f"{source} is a collection: give it alone, or a config file that names it, with overlays")
    experiment = compared(surveyed_experiment(source))
    refuse_other_source(options.workdir or experiment.workdir, experiment.corpus.source)
    return run_settings(experiment, options, settings, "evaluate")
