"""`gr2 pairs SOURCE --output DIR`: any source with graded queries as documents and graded pairs to pre-train on."""

import argparse
import dataclasses
from collections.abc import Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.terminal import show, show_json

HELP = "any source with graded queries as documents and graded pairs, to pre-train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from gr2_jax.corpus.graded_pairs import PairsOptions

    sources = "apidocs:<library>,<library>, irds:<id>, or a folder: ours, BEIR's, TREC's, or of Markdown or HTML files"
    parser.add_argument("source", help=sources)
    parser.add_argument("--output", required=True, help="a new folder")
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON object instead of a table")
    for field in dataclasses.fields(PairsOptions):
        flag = "--" + field.name.replace("_", "-")
        text = f"{field.metadata['help']} (default: {field.default})"
        parser.add_argument(flag, type=type(field.default), default=field.default, help=text)


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    """Writes the folder, or finds it written, and prints its counts."""
    refuse_settings(settings)
    from gr2_jax.corpus.graded_pairs import PairsOptions, build_pairs

    names = [field.name for field in dataclasses.fields(PairsOptions)]
    chosen = PairsOptions(**{name: getattr(options, name) for name in names})
    manifest = build_pairs(options.source, options.output, chosen)
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
    rows = counts | grades | left_out
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {count:>14,}" for name, count in rows.items())
