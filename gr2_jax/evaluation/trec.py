"""TREC's text formats: ranked lists ("runs") and graded judgements ("qrels")."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Real

from gr2_jax.errors import UserError

Run = dict[str, list[tuple[str, float]]]
"""Query id -> (document id, score), best first."""

Qrels = dict[str, dict[str, int]]
"""Query id -> document id -> grade. A grade of 1 or more is relevant; 0 and below is not."""

_RUN_COLUMNS = "query Q0 document rank score tag"
_QRELS_COLUMNS = "query iteration document grade"


def best_first(doc_ids: Sequence[str], scores: Real[np.ndarray, " N"], k: int) -> list[tuple[str, float]]:
    """Returns the `k` best of the documents that score above 0, equal scores in the order of the documents.

    Args:
        doc_ids: N document ids.
        scores: Higher is better.
        k: The longest list to return.
    """
    found = np.flatnonzero(scores > 0)
    order = found[np.argsort(-scores[found], kind="stable")[:k]]
    return [(doc_ids[i], float(scores[i])) for i in order]


def write_run(path: str | os.PathLike, run: Run, tag: str) -> None:
    """Writes `qid Q0 docid rank score tag` lines, queries in the run's order, ranks from 1.

    Scores have the shortest digits that read back as the same double, so `read_run` returns an equal run. The file
    appears whole or not at all.

    Raises:
        UserError: An id or the tag is empty or contains white space, which the format cannot hold.
        ValueError: A score is not finite, or a list is not ordered best first.
    """
    path = Path(path)
    _check_word(tag, "run tag")
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for query_id, hits in run.items():
            _check_word(query_id, "query id")
            previous = math.inf
            for rank, (doc_id, score) in enumerate(hits, start=1):
                _check_word(doc_id, "document id")
                score = float(score)
                if not math.isfinite(score) or score > previous:
                    raise ValueError(f"query {query_id}, rank {rank}: score {score} after {previous} is not best first")
                previous = score
                file.write(f"{query_id} Q0 {doc_id} {rank} {score!r} {tag}\n")
    os.replace(partial, path)


def read_run(path: str | os.PathLike) -> Run:
    """Reads a run, plain or gzipped; blank lines and CRLF are accepted.

    As in trec_eval the rank column is ignored: each list is ordered by score. Equal scores stay in the file's order.

    Raises:
        UserError: The file cannot be read, a line is malformed, or a query lists a document twice.
    """
    scores: dict[str, dict[str, float]] = {}
    for where, line in _lines(path):
        query_id, _, doc_id, _, text, _ = _columns(where, line, _RUN_COLUMNS)
        score = _number(float, text)
        if score is None or not math.isfinite(score):
            raise UserError(f"{where}: expected a finite number as score, found {text!r}")
        hits = scores.setdefault(query_id, {})
        if doc_id in hits:
            raise UserError(f"{where}: document {doc_id!r} is listed twice for query {query_id!r}")
        hits[doc_id] = score
    return {query_id: sorted(hits.items(), key=lambda hit: -hit[1]) for query_id, hits in scores.items()}


def write_qrels(path: str | os.PathLike, qrels: Qrels) -> None:
    """Writes `qid 0 docid grade` lines, queries and documents in the given order."""
    lines = (f"{query} 0 {doc} {grade}\n" for query, grades in qrels.items() for doc, grade in grades.items())
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    os.replace(partial, path)


_HIGHEST_GRADE = 1000  # 2**grade is a float


def read_qrels(path: str | os.PathLike) -> Qrels:
    """Reads `qid iteration docid grade` lines, plain or gzipped; blank lines and CRLF are accepted.

    Grades are kept as they stand, also below 0 (TREC's mark for spam) and above 4. A judgement may be repeated.

    Raises:
        UserError: The file cannot be read, a line is malformed, or two lines grade one document differently.
    """
    qrels: Qrels = {}
    for where, line in _lines(path):
        query_id, _, doc_id, text = _columns(where, line, _QRELS_COLUMNS)
        grade = _number(int, text)
        if grade is None:
            raise UserError(f"{where}: expected a whole number as grade, found {text!r}")
        if abs(grade) > _HIGHEST_GRADE:
            raise UserError(
                f"{where}: the grade is {grade}: at most {_HIGHEST_GRADE} on either side of 0 can be scored"
            )
        first = qrels.setdefault(query_id, {}).setdefault(doc_id, grade)
        if first != grade:
            raise UserError(f"{where}: document {doc_id!r} of query {query_id!r} has grade {grade}, earlier {first}")
    return qrels


def write_per_query(path: str | os.PathLike, scores: Mapping[str, Mapping[str, float]]) -> None:
    """Writes `measure<TAB>query<TAB>value` lines, as `trec_eval -q` does, from measure -> query -> value."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    lines = (f"{name}\t{query}\t{value!r}\n" for name, values in scores.items() for query, value in values.items())
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, path)


def _lines(path: str | os.PathLike) -> Iterator[tuple[str, str]]:
    """Yields (`file:line`, text) for every line that is not blank."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
        opened = gzip.open if gzipped else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", line
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _columns(where: str, line: str, expected: str) -> list[str]:
    columns = line.split()
    if len(columns) != len(expected.split()):
        raise UserError(
            f"{where}: expected {len(expected.split())} columns, `{expected}`, found {len(columns)}: {line.strip()!r}"
        )
    return columns


def _number(kind: type, text: str) -> int | float | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _check_word(text: str, what: str) -> None:
    if text.split() != [text]:
        raise UserError(f"the {what} {text!r} is empty or contains white space, which a TREC run cannot hold")
