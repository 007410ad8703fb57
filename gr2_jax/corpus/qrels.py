"""Graded judgements from files: TREC's qrels and BEIR's tables."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gr2_jax.corpus import _files
from gr2_jax.errors import UserError

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade. A grade of 0 or below means not relevant."""

Row = tuple[str, str, str, str]
"""(the place in the file, query id, document id, grade as written)"""


def read_qrels(*paths: str | Path) -> Qrels:
    """Reads `qid iteration docid grade` lines, separated by blanks or tabs, from files that may be gzip.

    Grades are whole numbers of any sign; a pair may be repeated with the same grade.

    Raises UserError with the file and line for anything else, among them a pair judged twice with different grades and
    the five columns of the prels of TREC's web track of 2009.
    """
    return _collect(paths, _trec_rows)


def read_beir_qrels(*paths: str | Path) -> Qrels:
    """Reads BEIR's `query-id<TAB>corpus-id<TAB>score` lines under their header; errors as in `read_qrels`."""
    return _collect(paths, _beir_rows)


def _collect(paths: Iterable[str | Path], rows: Callable[[Path], Iterator[Row]]) -> Qrels:
    qrels: Qrels = {}
    for place, query, doc, grade in (row for path in paths for row in rows(Path(path))):
        try:
            value = int(grade)
        except ValueError:
            raise UserError(f"{place}: the grade must be a whole number, found {grade!r}") from None
        before = qrels.setdefault(query, {}).setdefault(doc, value)
        if before != value:
            raise UserError(f"{place}: query {query!r} judges {doc!r} as {value}, but as {before} above")
    return qrels


def _trec_rows(path: Path) -> Iterator[Row]:
    for number, line in _files.lines(path):
        place, fields = f"{path}, line {number}", line.split()
        if len(fields) == 5:
            raise UserError(
                f"{place}: 5 fields are TREC's prels, a sample with probabilities that no measure here takes; "
                "expected 4 fields `qid 0 docid grade`"
            )
        if len(fields) != 4:
            raise UserError(
                f"{place}: expected 4 fields `qid 0 docid grade`, found {len(fields)} in {_files.shown(line)}"
            )
        query, _, doc, grade = fields
        yield place, query, doc, grade


def _beir_rows(path: Path) -> Iterator[Row]:
    for number, line in _files.lines(path):
        place, fields = f"{path}, line {number}", [field.strip() for field in line.split("\t")]
        if len(fields) != 3:
            raise UserError(
                f"{place}: expected 3 fields `query-id<TAB>corpus-id<TAB>score`, found {len(fields)} in "
                f"{_files.shown(line)}"
            )
        query, doc, grade = fields
        if query != "query-id":
            yield place, _files.check_id("query", query, place), _files.check_id("document", doc, place), grade
