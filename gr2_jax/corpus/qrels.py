"""Graded judgements in files: TREC's qrels and BEIR's tables, and the writer of qrels."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gr2_jax import files
from gr2_jax.corpus import _files
from gr2_jax.errors import UserError

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade. A grade of 0 or below means not relevant."""

_HIGHEST_GRADE = 1000  # 2**grade is a float

Row = tuple[str, str, str, str]
"""(the place in the file, query id, document id, grade as written)"""


def read_qrels(*paths: str | Path) -> Qrels:
    """Reads `qid iteration docid grade` lines, with blanks or tabs between fields, from plain or gzip files.

    Grades are whole numbers from -1,000 to 1,000, the highest that ERR can score; `3.0` is 3. A pair may be repeated
    with the same grade.

    Raises UserError with the file and line for anything else, including a pair judged twice with different grades and
    the five-column prels of TREC's 2009 web track.
    """
    return _collect(paths, _trec_rows)


def write_qrels(path: str | os.PathLike, qrels: Qrels) -> None:
    """Writes `qid 0 docid grade` lines, queries and documents in the given order; the file appears whole or not at all.

    Raises UserError for an id that is empty or contains white space or a control character.
    """
    files.write_text(Path(path), _qrels_lines(qrels, f"the judgements for {path}"))


def _qrels_lines(qrels: Qrels, place: str) -> Iterator[str]:
    for query, grades in qrels.items():
        _files.check_id("query", query, place)
        for doc, grade in grades.items():
            yield f"{query} 0 {_files.check_id('document', doc, place)} {grade}\n"


def read_beir_qrels(*paths: str | Path) -> Qrels:
    """Reads BEIR's `query-id<TAB>corpus-id<TAB>score` lines under their header; errors as in `read_qrels`."""
    return _collect(paths, _beir_rows)


def _collect(paths: Iterable[str | Path], rows: Callable[[Path], Iterator[Row]]) -> Qrels:
    qrels: Qrels = {}
    for place, query, doc, grade in (row for path in paths for row in rows(Path(path))):
        number = _files.number(grade)
        if not number.is_integer():
            raise UserError(f"{place}: the grade must be a whole number, found {_files.shown(grade)}")
        value = int(number)
        if abs(value) > _HIGHEST_GRADE:
            raise UserError(
                f"{place}: the grade is {_files.shown(grade)}: it must be from {-_HIGHEST_GRADE} to {_HIGHEST_GRADE}"
            )
        before = qrels.setdefault(query, {}).setdefault(doc, value)
        if before != value:
            raise UserError(f"{place}: query {query!r} judges {doc!r} as {value}, but as {before} above")
    return qrels


def _trec_rows(path: Path) -> Iterator[Row]:
    for number, line in _files.lines(path):
        place, fields = f"{path}, line {number}", line.split()
        if len(fields) == 5:
            raise UserError(
                f"{place}: 5 fields are TREC's prels, samples with probabilities, which no measure here supports; "
                "expected 4 fields `qid 0 docid grade`"
            )
        if len(fields) != 4:
            raise UserError(
                f"{place}: expected 4 fields `qid 0 docid grade`, found {len(fields)} in {_files.shown(line)}"
            )
        query, _, doc, grade = fields
        _files.check_ids(line, query, doc, place)
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
