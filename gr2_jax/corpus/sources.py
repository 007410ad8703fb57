"""Where a collection comes from: the built-in API documentation, a folder, or ir_datasets."""

from collections.abc import Callable
from typing import Any

from gr2_jax.corpus.apidocs import LIBRARIES, read_apidocs
from gr2_jax.corpus.collection import Collection, Document, Treatment, read_collection, validate
from gr2_jax.errors import UserError, nearest


def load_collection(
    source: str, *, empty_documents: Treatment = "error", unjudged_queries: Treatment = "error"
) -> Collection:
    """Returns the collection that a source names, checked by `validate`.

    `apidocs` or `apidocs:numpy,scipy`: the documentation of installed libraries. `irds:<id>`: a data set of
    ir_datasets, which may download it. Anything else: a folder with documents.jsonl[.gz] (`doc_id`, `text`, optional
    `title`), queries.tsv and qrels.txt.

    Raises UserError for a source that is not there, is malformed (with file and line) or is not fit for use.
    """
    kind, _, rest = source.partition(":")
    if kind == "apidocs":
        collection = read_apidocs([name.strip() for name in rest.split(",")] if rest else LIBRARIES)
    elif kind == "irds":
        collection = _read_irds(rest)
    else:
        collection = read_collection(source)
    return validate(collection, empty_documents=empty_documents, unjudged_queries=unjudged_queries)


def _read_irds(dataset_id: str) -> Collection:
    try:
        import ir_datasets
    except ImportError as error:
        raise UserError(f"irds:{dataset_id} needs ir_datasets: pip install 'gr2_jax[data]'") from error
    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError:
        hint = nearest(dataset_id, list(ir_datasets.registry)) if dataset_id else "name one, as in irds:cranfield"
        raise UserError(f"ir_datasets has no {dataset_id!r}: {hint}") from None
    for part, present in (
        ("documents", dataset.has_docs()),
        ("queries", dataset.has_queries()),
        ("judgements", dataset.has_qrels()),
    ):
        if not present:
            raise UserError(f"irds:{dataset_id} has no {part}: choose one of its subsets that has")
    return _from_dataset(dataset_id, dataset, ir_datasets.__version__)


def _from_dataset(dataset_id: str, dataset: Any, version: str) -> Collection:
    grade = _GRADE_OF_LABEL.get(dataset_id, lambda label: label)
    qrels: dict[str, dict[str, int]] = {}
    for judgement in dataset.qrels_iter():
        qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = grade(judgement.relevance)
    return Collection(
        name=dataset_id.replace("/", "-"),
        documents=tuple(_document(doc) for doc in dataset.docs_iter()),
        queries={query.query_id: " ".join(query.default_text().split()) for query in dataset.queries_iter()},
        qrels=qrels,
        provenance={"source": f"irds:{dataset_id}", "ir_datasets": version, "notes": _NOTES.get(dataset_id, "")},
    )


def _document(doc: Any) -> Document:
    if hasattr(doc, "text"):
        return Document(doc.doc_id, (getattr(doc, "title", "") or "").strip(), doc.text.strip())
    return Document(doc.doc_id, "", doc.default_text().strip())


def cranfield_grade(code: int) -> int:
    """Returns the grade of a Cranfield relevance code: 1 (a complete answer) is 4, 4 (minimum interest) is 1.

    Code -1, which every query has once and which behaves like the paper that the question came from, is 0.
    """
    return 5 - code if 1 <= code <= 5 else 0


_GRADE_OF_LABEL: dict[str, Callable[[int], int]] = {"cranfield": cranfield_grade}
_NOTES = {"cranfield": "grade = 5 - code as ir_datasets serves the raw codes; code -1 (the source paper) is grade 0"}
