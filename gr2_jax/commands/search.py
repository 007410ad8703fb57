"""`gr2 search`: ranked documents for a query on the command line, or for those that are typed or piped in."""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gr2_jax.commands.ahead import ahead
from gr2_jax.commands.experiments import refuse_settings
from gr2_jax.commands.prompt import queries_on_stdin
from gr2_jax.commands.search_options import add_search_options, given
from gr2_jax.errors import UserError
from gr2_jax.terminal import show, show_json, warn

if TYPE_CHECKING:
    from gr2_jax.corpus import Document
    from gr2_jax.search import Hit
    from gr2_jax.search.opened import FoundDocument
    from gr2_jax.search.searcher import Searcher

HELP = "ranked documents for a query, or for many, one after the other"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", help="one query; without, a query per line is read until an empty one")
    parser.add_argument("--workdir", required=True, help="a finished run, a bundle, or a bundle's name on the hub")
    parser.add_argument("--row", help="of its table (default: the first)")
    parser.add_argument("-k", type=int, default=10, help="documents to print")
    parser.add_argument("--only", action="append", help="documents whose id is this, or matches it, such as 'docs/*'")
    parser.add_argument("--without", action="append", help="leave out the documents whose id is or matches this")
    add_search_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object per query, a line each")


def run(options: argparse.Namespace, settings: Sequence[str]) -> int:
    refuse_settings(settings)
    query = " ".join(options.query)
    if not _is_text(query):
        raise UserError("the query is not UTF-8 text")
    if (options.query and not query.strip()) or options.k < 1:
        raise UserError("search needs a query with words in it, and -k of at least 1")
    try:
        return _search(options, query)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the shell's prompt begins a line of its own
        return 130


def _search(options: argparse.Namespace, query: str) -> int:
    from gr2_jax.pipeline.opening import open_row_or_bundle

    opened, code = open_row_or_bundle(options.workdir, options.row, given(options)), 0
    chosen = bool(options.only or options.without)
    if chosen:
        opened = opened.only(options.only or "*", without=options.without or ())

    def answer(asked: str) -> "list[Hit] | None":
        """None where there is nothing to search."""
        return opened.searcher.search([asked], options.k)[0] if asked and _is_text(asked) else None

    asked_for = [query] if options.query else queries_on_stdin(f"{len(opened.documents):,} documents", opened.row)
    one_by_one = options.query or sys.stdin.isatty()
    answers = ((asked, answer(asked)) for asked in asked_for) if one_by_one else ahead(answer, asked_for)
    for number, (asked, hits) in enumerate(answers, start=1):
        if not _is_text(asked):
            warn(f"standard input, line {number}: the query is not UTF-8 text")
            code = 2
        if hits is None:
            continue
        if options.json:
            show_json(_record(asked, opened.found(hits)), flush=True)
        else:
            for line in _lines(hits, opened.documents):
                show(line)
            among = f"of the {len(opened.documents):,} documents searched" if chosen else "document of the collection"
            show(_certificate(hits, opened.searcher, among), flush=True)
    return code


def _record(query: str, hits: "Sequence[FoundDocument]") -> dict[str, Any]:
    """The query and its hits for a program, with the whole texts: a program cuts them by itself."""
    return {"query": query, "hits": [{"rank": hit.rank} | dataclasses.asdict(hit) for hit in hits]}


def _lines(hits: "Sequence[Hit]", documents: "Mapping[str, Document]") -> Iterator[str]:
    for rank, hit in enumerate(hits, start=1):
        document = documents[hit.doc_id]
        named = [hit.doc_id]
        if document.title.casefold() not in ("", hit.doc_id.casefold(), hit.docid.casefold()):
            named.append(_first_line(document.title))
        if hit.docid:  # a row may be without docids
            named.append(f"[{hit.docid}]")
        yield f"{rank:2d}  {hit.score:8.3f}  {'  '.join(named)}"
        if document.text:  # a bundle may be without texts
            yield f"{'':14}{_first_line(document.text)}"


def _is_text(query: str) -> bool:
    """Whether the bytes of the query were UTF-8; Python reads others as lone surrogates."""
    return query == query.encode("utf-8", "replace").decode()


def _certificate(hits: list, searcher: "Searcher", among: str) -> str:
    proven = sum(hit.proven for hit in hits)
    if not searcher.proves:
        return "not proven: the row joins or reranks lists, which proves nothing"
    if hits and proven == len(hits):
        return f"proven: no other {among} scores higher than these {proven}"
    adaptive = getattr(searcher.options, "exact", None) == "no"
    return f"proven: the first {proven} of {len(hits)}" + "; --exact adaptive searches until all are" * adaptive


def _first_line(text: str, width: int = 100) -> str:
    """The first line of a document's text, cut at `width` characters."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"
