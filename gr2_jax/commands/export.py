"""`gr2 export WORKDIR DIR`: a run's row as a bundle, a folder to hand on."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.terminal import show

HELP = "a trained row as a folder to hand on, which searches with the core install alone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workdir", help="a finished run")
    parser.add_argument("directory", help="the bundle: a new folder, or an older bundle, which is replaced")
    parser.add_argument("--row", help="of its table, one that writes docids (default: the first)")
    parser.add_argument(
        "--no-documents",
        action="store_true",
        help="leave titles and texts out; ids and docids, which may be words of them, stay",
    )
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="upload it to the Hugging Face hub, as private if new there"
    )


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    from gr2_jax.pipeline.bundle.hub import check_push, push
    from gr2_jax.pipeline.bundle.writing import write_bundle
    from gr2_jax.pipeline.open_run import open_run

    if options.push is not None:
        check_push(options.push)
    directory = Path(options.directory)
    written = write_bundle(open_run(options.workdir), directory, options.row, texts=not options.no_documents)
    for part, size in [*written.parts.items(), ("together", sum(written.parts.values()))]:
        show(f"{size:>14,} bytes  {part}")
    show(f"{written.row} over {written.documents:,} documents is in {directory}")
    place = options.directory
    if options.push is not None:
        show(f"and at {push(directory, options.push)}")
        place = options.push
    show(f'to search with it: gr2 search "a query" --workdir {place}')
    return 0
