"""`gr2 wikipedia DUMP... --output DIR [options] [Beam's options]`: dumps to documents and graded pairs."""

import argparse
from collections.abc import Sequence

from gr2_jax.commands.field_options import add_fields, counts_as_lines, from_flags
from gr2_jax.terminal import show, show_json

HELP = "a Wikipedia dump into documents and graded pairs, by Apache Beam"

_GRADES = {"4": "the article itself", "3": "See also", "2": "lead section", "1": "other sections"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own arguments; all others are Beam's, to be given after the dumps."""
    from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions

    parser.add_argument("dumps", nargs="+", help="pages-articles dumps (.xml or .xml.bz2), paths or globs")
    parser.add_argument("--output", required=True, help="a new folder, or the folder of a build to resume")
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON object instead of a table")
    add_fields(parser, WikipediaOptions)


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    """Builds, or resumes a build, and prints its counts; `settings` go to Beam."""
    from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions
    from gr2_jax.corpus.wikipedia.pipeline import build_wikipedia

    manifest = build_wikipedia(options.dumps, options.output, from_flags(WikipediaOptions, options), list(settings))
    if options.json:
        show_json(manifest)
    else:
        show(f"{_table(manifest)}\n\noutput {options.output}")
    return 0


def _table(manifest: dict) -> str:
    """Returns the counts of a build, one a line."""
    counts = {name: manifest["counts"][name] for name in sorted(manifest["counts"])}
    grades = {f"pairs of grade {grade}, {_GRADES[grade]}": count for grade, count in manifest["pairs_by_grade"].items()}
    dropped = {f"links left out: {reason}": count for reason, count in sorted(manifest["dropped_links"].items())}
    return counts_as_lines(counts | grades | dropped)
