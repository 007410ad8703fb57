"""`gr2 search`: ranked documents for a query on the command line, or for those that are typed or piped in."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.commands.search_options import add_search_options, given
from gr2_jax.errors import UserError

HELP = "ranked documents for a query, or for many, one after the other"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", help="one query; without, a query per line is read until an empty one")
    parser.add_argument("--workdir", required=True, help="a finished run")
    parser.add_argument("--row", help="of its table (default: the first)")
    parser.add_argument("-k", type=int, default=10, help="documents to print")
    add_search_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per query, a line each")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    query = " ".join(options.query)
    if query != query.encode("utf-8", "replace").decode():
        raise UserError("the query is not UTF-8 text")
    if (options.query and not query.strip()) or options.k < 1:
        raise UserError("search needs a query with words in it, and -k of at least 1")
    from gr2_jax.pipeline.open_run import open_row

    opened = open_row(options.workdir, options.row, options=given(options))
    searcher = opened.searcher
    for asked in [query] if options.query else _typed():
        (hits,) = searcher.search([asked], options.k)
        if options.json:
            print(json.dumps({"query": asked, "hits": [dataclasses.asdict(hit) for hit in hits]}), flush=True)
            continue
        for rank, hit in enumerate(hits, start=1):
            docid = f"  [{hit.docid}]" if hit.docid else ""  # a row without docids
            print(f"{rank:2d}  {hit.score:8.3f}  {hit.doc_id}{docid}")
            print(f"{'':14}{_first_line(opened.run.texts[hit.doc_id])}")
        print(_certificate(hits, getattr(searcher.options, "exact", None)), flush=True)
    return 0


def _typed() -> Iterator[str]:
    """Queries from a terminal, with a prompt and a line editor, or from a pipe."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            if line.strip():
                yield line.strip()
        return
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() its history)
    with contextlib.suppress(EOFError):
        while query := input("query> ").strip():
            yield query


def _certificate(hits: list, exact: str | None) -> str:
    proven = sum(hit.proven for hit in hits)
    if hits and proven == len(hits):
        return f"proven: no other document of the collection scores higher than these {proven}"
    hint = "; --exact adaptive searches until all are" if exact == "no" else ""
    return f"proven: the first {proven} of {len(hits)}{hint}"


def _first_line(text: str, width: int = 100) -> str:
    """The first line of a document's text, cut at `width` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
