"""The options of a search, for the commands that search with a finished run."""

import argparse
from typing import Any

OPTIONS = {
    "beams": (int, "hypotheses kept alive"),
    "exact": (str, "no, adaptive or exhaustive"),
    "ranking": (str, "joint: by likelihood and similarity; likelihood: by the first alone"),
    "weight": (float, "of the similarity in the joint score"),
    "smoothing": (float, "of N docids each counts as likely as P + this / N in the joint score"),
    "candidates": (str, "of a joint ranking: both, beams or nearest"),
    "nearest": (int, "how many docids near the query are candidates"),
    "table": (str, "where the docids' vectors are: replicated on each device, or sharded over those of the process"),
    "trie": (str, "the same for the trie of docids"),
    "parameters": (str, "the same for the model's parameters"),
}


def add_search_options(parser: argparse._ActionsContainer) -> None:
    for name, (kind, meaning) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=f"{meaning} (default: the run's)")


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The changes to the run's `SearchOptions` that the command line names."""
    return {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
