"""`gr2 convert SOURCE DESTINATION`: between Hugging Face's files and checkpoints of this package."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.terminal import show

HELP = "a T5 from Hugging Face's files into a checkpoint, or back into the same files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a Hugging Face T5 directory or hub name, or a T5 checkpoint made from one")
    parser.add_argument("destination", help="a new folder: the checkpoint, or the Hugging Face directory")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    from gr2_jax.models.convert import convert

    show("\n".join(convert(options.source, options.destination)))
    return 0
