"""Graded judgements in files: TREC's qrels and BEIR's tables, and the writer of qrels."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gr2_jax import files
from gr2_jax.corpus import _files
from gr2_jax.errors import UserError

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade. A grade of 0 or below means not relevant."""

HIGHEST_GRADE = 1_000_000
"""Grades are whole numbers from -1,000,000 to 1,000,000, whatever they are read from."""

Row = tuple[str, str, str, str]
"""(the place in the file, query id, document id, grade as written)"""


def read_qrels(*paths: str | Path) -> Qrels:
    """Reads `qid iteration docid grade` lines, with blanks or tabs between fields, from plain or gzip files.

    Grades are whole numbers from -1,000,000 to 1,000,000; `3.0` is 3. A pair may be repeated with the same grade.

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


def check_grade(grade: float, place: str) -> float:
    """Returns the grade; raises `UserError` outside the bound that all readers share."""
    if abs(grade) > HIGHEST_GRADE:
        # of a number with thousands of digits a sentence shows no more than these; int to str would refuse it
        shown = f"{grade:.0f}" if abs(grade) < 10**20 else "of more than 20 digits"
        raise UserError(f"{place}: the grade is {shown}: it must be from {-HIGHEST_GRADE:,} to {HIGHEST_GRADE:,}")
    return grade


def check_grades(qrels: Qrels, where: str) -> None:
    """Raises `UserError`, which names the first pair, for a grade that no reader would take."""
    for query, own in qrels.items():
        for doc, grade in own.items():
            if abs(grade) > HIGHEST_GRADE:
                check_grade(grade, f"{where}, query {query!r}, document {doc!r}")


def grade_places(qrels: Qrels) -> dict[int, int]:
    """Each different grade above 0 -> its place among them, from 1 for the lowest to L for the highest.

    Training reads places: its cost depends on how many grades there are, not on how high they are. Their order is that
    of the grades, and grades that are 1 to L already keep their numbers. Grades of 0 and below, which are not relevant,
    have no place.
    """
    found = {grade for own in qrels.values() for grade in own.values() if grade > 0}
    return {grade: place for place, grade in enumerate(sorted(found), start=1)}


def _collect(paths: Iterable[str | Path], rows: Callable[[Path], Iterator[Row]]) -> Qrels:
    qrels: Qrels = {}
    for place, query, doc, grade in (row for path in paths for row in rows(Path(path))):
        number = _files.number(grade)
        whole = number.is_integer() or (math.isinf(number) and grade.lstrip("+-").isdecimal())  # of hundreds of digits
        if not whole:
            raise UserError(f"{place}: the grade must be a whole number, found {_files.shown(grade)}")
        check_grade(number, place)
        value = int(number)
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
