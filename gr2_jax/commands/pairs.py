"""`gr2 pairs SOURCE --output DIR`: any source with graded queries as documents and graded pairs to pre-train on."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.commands.field_options import add_fields, counts_as_lines, from_flags
from gr2_jax.terminal import show, show_json

HELP = "any source with graded queries as documents and graded pairs, to pre-train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from gr2_jax.corpus.graded_pairs import PairsOptions

    sources = "apidocs:<library>,<library>, irds:<id>, or a folder: ours, BEIR's, TREC's, or of Markdown or HTML files"
    parser.add_argument("source", help=sources)
    parser.add_argument("--output", required=True, help="a new folder")
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON object instead of a table")
    add_fields(parser, PairsOptions)


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    """Writes the folder, or finds it written, and prints its counts."""
    refuse_settings(settings)
    from gr2_jax.corpus.graded_pairs import PairsOptions, build_pairs

    manifest = build_pairs(options.source, options.output, from_flags(PairsOptions, options))
    if options.json:
        show_json(manifest)
    else:
        show(f"{_table(manifest)}\n\noutput {options.output}")
    return 0


def _table(manifest: dict) -> str:
    """Returns the counts of a build, one a line."""
    by_grade = sorted(manifest["pairs_by_grade"].items(), key=lambda pair: -int(pair[0]))
    grades = {f"pairs of grade {grade}": count for grade, count in by_grade}
    left_out = {f"left out: {reason}": count for reason, count in sorted(manifest["left_out"].items())}
    counts = {name: manifest["counts"][name] for name in ("documents", "queries", "pairs")}
    return counts_as_lines(counts | grades | left_out)
