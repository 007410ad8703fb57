"""Data sets of ir_datasets; labels with another coding are converted to grades."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gr2_jax.corpus._named_tuples import document_of, query_text
from gr2_jax.corpus.collection import CollectionStream, Document
from gr2_jax.corpus.qrels import Qrels, check_grades
from gr2_jax.errors import UserError, install, nearest


def open_irds(ids: str) -> CollectionStream:
    """Opens `<id>`, or the union of the queries and judgements of `<id>+<id>+...` over one set of documents.

    Where a data set judges a pair more than once (for example by subtopic), its highest grade counts. Queries and
    judgements are read, and downloaded if necessary, in this call; documents when they are iterated.

    Raises UserError for an unknown id, a failed download, ids over different documents, a grade outside the bound of
    `gr2_jax.corpus.qrels`, or ids that disagree on a query's text or a grade.
    """
    names = list(dict.fromkeys(ids.split("+")))
    datasets = {name: _load(name) for name in names}
    _refuse_different_documents(names)
    queries: dict[str, str] = {}
    qrels: Qrels = {}
    for name, dataset in datasets.items():
        with _failures_of(name):
            _unite(queries, _queries_of(dataset), lambda query, name=name: f"{name} has another text for query {query}")
            for query, grades in _qrels_of(name, dataset).items():
                complaint = f"{name} has another grade for query {query}, document"
                _unite(qrels.setdefault(query, {}), grades, lambda doc, words=complaint: f"{words} {doc}")
    return CollectionStream(
        name="+".join(names).replace("/", "-"),
        documents=lambda: _documents_of(names[0], datasets[names[0]]),
        queries=queries,
        qrels=qrels,
        provenance={"source": f"irds:{ids}", "ir_datasets": _library(ids).__version__, "notes": _note(names)},
    )


def needs_ir_datasets(ids: str) -> UserError:
    """The error for a missing ir_datasets library."""
    return UserError(f"irds:{ids} needs ir_datasets: {install('data')}")


def _library(ids: str) -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise needs_ir_datasets(ids) from error
    return ir_datasets


def _load(name: str) -> Any:
    library = _library(name)
    try:
        dataset = library.load(name)
    except KeyError:
        hint = nearest(name, list(library.registry)) if name else "name one, as in irds:cranfield"
        raise UserError(f"ir_datasets has no {name!r}: {hint}") from None
    for part, present in (
        ("documents", dataset.has_docs()),
        ("queries", dataset.has_queries()),
        ("judgements", dataset.has_qrels()),
    ):
        if not present:
            raise UserError(f"irds:{name} has no {part}: choose one of its subsets that has them")
    return dataset


def _refuse_different_documents(names: list[str]) -> None:
    parents = {name: _library(name).docs_parent_id(name) for name in names} if len(names) > 1 else {}
    for name, parent in parents.items():
        if parent != parents[names[0]]:
            raise UserError(
                f"irds:{'+'.join(names)}: {name} has the documents of {parent}, {names[0]} those of "
                f"{parents[names[0]]}; only ids over the same documents can be combined"
            )


def _unite(into: dict, found: dict, complaint: Callable[[str], str]) -> None:
    for key, value in found.items():
        if into.setdefault(key, value) != value:
            raise UserError(f"irds: {complaint(repr(key))} than the id before it")


def _queries_of(dataset: Any) -> dict[str, str]:
    return {query.query_id: query_text(query) for query in dataset.queries_iter()}


def _qrels_of(name: str, dataset: Any) -> Qrels:
    grade = _recoding(name)[0]
    qrels: Qrels = {}
    for judgement in dataset.qrels_iter():
        grades, value = qrels.setdefault(judgement.query_id, {}), grade(judgement.relevance)
        grades[judgement.doc_id] = max(value, grades.get(judgement.doc_id, value))
    check_grades(qrels, f"irds:{name}")
    return qrels


def _documents_of(name: str, dataset: Any) -> Iterator[Document]:
    with _failures_of(name):
        for record in dataset.docs_iter():
            yield document_of(record)


@contextmanager
def _failures_of(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UserError(f"{name!r} needs an optional part of ir_datasets: {' '.join(str(error).split())}") from error
    # Failed downloads: the errors of requests and ir_datasets are OSErrors; missing logins and bad archives the others.
    except (OSError, EOFError, RuntimeError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"ir_datasets cannot download or read {name!r}: {reason}") from error


def cranfield_grade(code: int) -> int:
    """Returns the grade of a Cranfield relevance code: 1 (a complete answer) is 4, 4 (minimum interest) is 1.

    Code -1 becomes 0: every query has it once, apparently for the paper that the question came from.
    """
    return 5 - code if 1 <= code <= 5 else 0


def antique_grade(label: int) -> int:
    """Returns the grade of an ANTIQUE label: 1 (out of context) and 2 (no answer) are 0, 3 is 1, 4 is 2."""
    return max(label - 2, 0)


# Keyed by the first part of the id. The label descriptions of all 790 ids of ir_datasets 0.6.3 were checked: only in
# these two does a label of 1 or more mean not relevant, or a higher label less relevant.
_RECODED = {
    "cranfield": (cranfield_grade, "grade = 5 - code as ir_datasets serves raw codes; code -1 (source paper) is 0"),
    "antique": (antique_grade, "grade = label - 2, at least 0: labels 1 and 2 are not relevant"),
}


def _recoding(name: str) -> tuple[Callable[[int], int], str]:
    return _RECODED.get(name.split("/")[0], (lambda label: label, ""))


def _note(names: list[str]) -> str:
    return "; ".join(dict.fromkeys(note for name in names if (note := _recoding(name)[1])))
