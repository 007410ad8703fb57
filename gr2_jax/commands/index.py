"""`gr2 index SOURCE`: a trained retriever over any documents, without a config file."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import add_run_options, run_settings
from gr2_jax.errors import UserError

HELP = "a retriever over your own documents: a folder, a file, or a collection"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="a folder of text files, of our layout, BEIR's or TREC's; a .jsonl, .csv, .tsv or .txt file of "
        "documents; irds:<id>; apidocs",
    )
    parser.add_argument(
        "--known-items",
        type=int,
        help="without queries: this many documents lend a sentence to measure by (default: a fifth, at most 200)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse empty documents, queries without judgements and judgements of unknown documents",
    )
    parser.add_argument(
        "--encoder",
        help="a sentence encoder to compare with: a folder, or a model of the Hugging Face hub (a BERT or RoBERTa)",
    )
    add_run_options(parser)


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    from gr2_jax.recipes.index import refuse_other_source, surveyed_experiment
    from gr2_jax.search.text_encoder import TextEncoder

    if options.known_items is not None and options.known_items < 0:
        raise UserError(f"--known-items is {options.known_items}: it must be at least 0")
    if options.encoder is not None:
        TextEncoder.load(options.encoder)  # before the source is read
    experiment = surveyed_experiment(
        options.source, known_items=options.known_items, strict=options.strict, encoder=options.encoder
    )
    refuse_other_source(options.workdir or experiment.workdir, experiment.corpus.source)
    return run_settings(experiment, options, settings, "evaluate")
