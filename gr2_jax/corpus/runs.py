"""TREC's ranked lists ("runs"): one reader and one writer."""

import itertools
import math
import os
from collections.abc import Iterable
from pathlib import Path

from gr2_jax import files
from gr2_jax.corpus import _files
from gr2_jax.errors import UserError
from gr2_jax.progress import say

_LARGEST = (2 - 2**-23) * 2.0**127  # of single precision

Run = dict[str, list[tuple[str, float]]]
"""Query id -> (document id, score), best first."""

METADATA_START, METADATA_END = "# ir_metadata.start", "# ir_metadata.end"
_COLUMNS = "query Q0 document rank score tag"


def write_run(path: str | os.PathLike, run: Run, tag: str, header: Iterable[str] = ()) -> None:
    """Writes `qid Q0 docid rank score tag` lines, queries in the run's order, ranks from 1, below the header's lines.

    Scores have the shortest digits that read back as the same double, so `read_run` returns an equal run. The file
    appears whole or not at all.

    Raises:
        UserError: An id or the tag cannot be in a run: it is empty or contains white space or a control character.
        ValueError: A score is not finite, or a list is not ordered best first.
    """
    if not _files.fits_a_run(tag):
        raise UserError(f"the run tag {tag!r} is empty or contains white space, which a TREC run cannot hold")
    lines = (f"{line}\n" for line in header)
    files.write_text(Path(path), itertools.chain(lines, _run_lines(run, tag, f"the run for {path}")))


def _run_lines(run: Run, tag: str, place: str):
    for query_id, hits in run.items():
        _files.check_id("query", query_id, place)
        previous = math.inf
        for rank, (doc_id, score) in enumerate(hits, start=1):
            _files.check_id("document", doc_id, place)
            score = float(score)
            if not math.isfinite(score) or score > previous:
                raise ValueError(f"query {query_id}, rank {rank}: score {score} after {previous} is not best first")
            previous = score
            yield f"{query_id} Q0 {doc_id} {rank} {score!r} {tag}\n"


def read_run(path: str | os.PathLike) -> Run:
    """Reads a run, plain or gzipped; blank lines, CRLF and a header of ir_metadata are accepted.

    As in trec_eval the rank column is ignored: each list is ordered by score. Equal scores stay in the file's order.
    Measures compare scores in single precision, so a line on stderr names the first that is too large for it.

    Raises:
        UserError: The file cannot be read, a line is malformed, an id contains a control character, or a query lists a
            document twice.
    """
    first, beyond, in_header = "", 0, False
    scores: dict[str, dict[str, float]] = {}
    for number, line in _files.lines(Path(path)):
        if line.startswith((METADATA_START, METADATA_END)) or (in_header and line.startswith("#")):
            in_header = not line.startswith(METADATA_END)
            continue
        place, columns = f"{path}, line {number}", line.split()
        if len(columns) != len(_COLUMNS.split()):
            raise UserError(
                f"{place}: expected 6 columns, `{_COLUMNS}`, found {len(columns)} in {_files.shown(line.strip())}"
            )
        query_id, _, doc_id, _, text, _ = columns
        _files.check_ids(line, query_id, doc_id, place)
        hits = scores.setdefault(query_id, {})
        if doc_id in hits:
            raise UserError(f"{place}: document {doc_id!r} is listed twice for query {query_id!r}")
        hits[doc_id] = _score(text, place)
        if abs(hits[doc_id]) > _LARGEST:
            first, beyond = first or f"{place}: the score {_files.shown(text)}", beyond + 1
    if beyond:
        others = f" (and {beyond - 1:,} more)" if beyond > 1 else ""
        say(f"gr2: {first}{others} is too large for the single precision in which measures rank: such scores are equal")
    return {query_id: sorted(hits.items(), key=lambda hit: -hit[1]) for query_id, hits in scores.items()}


def _score(text: str, place: str) -> float:
    score = _files.number(text)
    if not math.isfinite(score):
        raise UserError(f"{place}: expected a finite number as score, found {_files.shown(text)}")
    return score
