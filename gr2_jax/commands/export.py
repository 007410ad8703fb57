"""`gr2 export WORKDIR DIR`: a run's row as a bundle, a folder to hand on, also over a collection that changed."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.errors import UserError
from gr2_jax.terminal import show

if TYPE_CHECKING:
    from gr2_jax.pipeline.open_run import RunRetriever

_LENIENT = {"empty_documents": "drop", "unjudged_queries": "drop", "unknown": "drop"}
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
    parser.add_argument("--add", metavar="DOCUMENTS", help="further documents, as `gr2 index` takes them")
    parser.add_argument("--remove", action="append", metavar="ID", help="documents whose id is this, or matches it")
    parser.add_argument("--documents", help="the collection as it is now, in place of --add and --remove")
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="upload it to the Hugging Face hub, as private if new there"
    )


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    if options.documents is not None and (options.add is not None or options.remove):
        raise UserError("--documents says what is added and removed: give it alone")
    from gr2_jax.pipeline.bundle.hub import check_push, push
    from gr2_jax.pipeline.bundle.writing import check_export, write_bundle
    from gr2_jax.pipeline.open_run import open_row_of, open_run

    if options.push is not None:
        check_push(options.push)
    run, directory = open_run(options.workdir), Path(options.directory)
    opened = open_row_of(run, check_export(run, directory, options.row))
    if options.documents is not None or options.add is not None or options.remove:
        opened = _changed(opened, options)
    written = write_bundle(opened, directory, texts=not options.no_documents)
    for part, size in [*written.parts.items(), ("together", sum(written.parts.values()))]:
        show(f"{size:>14,} bytes  {part}")
    show(f"{written.row} over {written.documents:,} documents is in {directory}")
    place = options.directory
    if options.push is not None:
        show(f"and at {push(directory, options.push)}")
        place = options.push
    show(f'to search with it: gr2 search "a query" --workdir {place}')
    return 0


def _changed(opened: "RunRetriever", options: argparse.Namespace) -> "RunRetriever":
    from gr2_jax.corpus import open_collection, validate
    from gr2_jax.pipeline.docids import describe

    source, remove = options.add if options.documents is None else options.documents, options.remove or ()
    added = ()
    if source is not None:
        added = validate(open_collection(source).hold(), **_LENIENT, needs_queries=False).documents
    if options.documents is not None:
        remove = opened.documents.keys() - {document.doc_id for document in added}
    opened = opened.changed(added, remove=remove)
    found = opened.changes
    show(
        f"{found.stayed:,} documents stay, {found.new:,} are new, {found.replaced:,} take the place of one with their "
        f"id, {found.removed:,} are removed"
    )
    if found.figures is not None and opened.searcher.ranks_jointly:
        smoothing = opened.searcher.options.smoothing
        show(f"the model has not learnt the new ones; with smoothing {smoothing:g} their similarity finds them")
    if found.figures is not None:
        show(f"their docids: {describe(found.figures)}")
    return opened
