"""`gr2 search`: ranked documents for a query on the command line, or for those that are typed or piped in."""

import argparse
import dataclasses
import io
import sys
from collections.abc import Iterator, Sequence

from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.commands.search_options import add_search_options, given
from gr2_jax.errors import UserError
from gr2_jax.terminal import show, show_json, warn

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
    if not _is_text(query):
        raise UserError("the query is not UTF-8 text")
    if (options.query and not query.strip()) or options.k < 1:
        raise UserError("search needs a query with words in it, and -k of at least 1")
    from gr2_jax.pipeline.open_run import open_row

    opened = open_row(options.workdir, options.row, options=given(options))
    searcher, code = opened.searcher, 0
    for number, asked in enumerate([query] if options.query else _typed(), start=1):
        if not _is_text(asked):
            warn(f"standard input, line {number}: the query is not UTF-8 text")
            code = 2
            continue
        if not asked:
            continue
        (hits,) = searcher.search([asked], options.k)
        if options.json:
            show_json({"query": asked, "hits": [dataclasses.asdict(hit) for hit in hits]}, flush=True)
            continue
        for rank, hit in enumerate(hits, start=1):
            docid = f"  [{hit.docid}]" if hit.docid else ""  # a row without docids
            show(f"{rank:2d}  {hit.score:8.3f}  {hit.doc_id}{docid}")
            show(f"{'':14}{_first_line(opened.run.texts[hit.doc_id])}")
        show(_certificate(hits, getattr(searcher.options, "exact", None)), flush=True)
    return code


def _is_text(query: str) -> bool:
    """Whether the bytes of the query were UTF-8; Python reads others as lone surrogates."""
    return query == query.encode("utf-8", "replace").decode()


def _typed() -> Iterator[str]:
    """Queries from a terminal, with a prompt and a line editor, or every line of a pipe."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
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
