"""`gr2 collection SOURCE`: what a source holds, and a copy of it as a folder."""

import argparse
import dataclasses
from collections.abc import Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.terminal import show, show_json

HELP = "what a source holds and what is odd about it; writes it as a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="apidocs, irds:<id>, wikipedia:DIR, or a folder (ours, BEIR's or TREC's)")
    parser.add_argument(
        "--documents", type=int, help="keep all judged documents and a random sample of the others, this many in all"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--output", help="a folder to write documents.jsonl, queries.tsv and qrels.txt into")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    from gr2_jax.corpus.export import export_collection

    survey = export_collection(options.source, documents=options.documents, seed=options.seed, output=options.output)
    if options.json:
        show_json(dataclasses.asdict(survey))
    else:
        show("\n".join(survey.lines()))
    return 0
