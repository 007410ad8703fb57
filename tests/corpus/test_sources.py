import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gr2_jax.corpus import Document, load_collection, read_collection, sources, write_collection
from gr2_jax.errors import UserError

ir_datasets = pytest.importorskip("ir_datasets")
CRANFIELD = Path(__file__).parents[3] / "shared" / "data" / "cranfield"


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """A data set made of files by ir_datasets' own readers."""
    folder = tmp_path_factory.mktemp("irds")
    (folder / "docs.tsv").write_text("d1\tsome text\nd2\tmore  text\n")
    (folder / "queries.tsv").write_text("q1\ta  query\n")
    (folder / "qrels.txt").write_text("q1 0 d1 2\nq1 0 d2 -2\n")
    dataset = ir_datasets.create_dataset(
        docs_tsv=str(folder / "docs.tsv"),
        queries_tsv=str(folder / "queries.tsv"),
        qrels_trec=str(folder / "qrels.txt"),
    )
    ir_datasets.registry.register("hand-made", dataset)
    ir_datasets.registry.register("hand-made/docs", ir_datasets.create_dataset(docs_tsv=str(folder / "docs.tsv")))


@pytest.mark.usefixtures("registered")
def test_an_ir_datasets_id():
    collection = load_collection("irds:hand-made")
    assert collection.documents == (Document("d1", "", "some text"), Document("d2", "", "more  text"))
    assert collection.queries == {"q1": "a query"}
    assert collection.qrels == {"q1": {"d1": 2, "d2": -2}}
    assert collection.provenance["source"] == "irds:hand-made"


@pytest.mark.usefixtures("registered")
def test_wrong_ids_get_hints():
    with pytest.raises(UserError, match="did you mean 'hand-made'"):
        load_collection("irds:hand-mde")
    with pytest.raises(UserError, match="has no queries"):
        load_collection("irds:hand-made/docs")


def test_cranfield_codes_become_grades(monkeypatch):
    # As in the collection's read-me: code 1 is a complete answer, 4 minimum interest, -1 the source paper.
    labels = {"a": 1, "b": 2, "c": 3, "d": 4, "e": -1}
    dataset = SimpleNamespace(
        **{f"has_{part}": lambda: True for part in ("docs", "queries", "qrels")},
        docs_iter=lambda: (SimpleNamespace(doc_id=doc, title="t\n", text="t . body") for doc in labels),
        queries_iter=lambda: iter([SimpleNamespace(query_id="1", default_text=lambda: "a\nquestion")]),
        qrels_iter=lambda: (SimpleNamespace(query_id="1", doc_id=doc, relevance=labels[doc]) for doc in labels),
    )
    monkeypatch.setattr(ir_datasets, "load", lambda name: dataset)
    collection = load_collection("irds:cranfield")
    assert collection.qrels == {"1": {"a": 4, "b": 3, "c": 2, "d": 1, "e": 0}}
    assert collection.documents[0] == Document("a", "t", "t . body")
    assert collection.queries == {"1": "a question"}


def test_a_folder_and_the_options_of_validate(tmp_path):
    (tmp_path / "documents.jsonl").write_text('{"doc_id": "d1", "text": "t"}\n{"doc_id": "d2", "text": ""}\n')
    (tmp_path / "queries.tsv").write_text("q1\tx\nq2\ty\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    with pytest.raises(UserError, match="'d2'"):
        load_collection(str(tmp_path))
    collection = load_collection(str(tmp_path), empty_documents="drop", unjudged_queries="drop")
    assert collection.qrels == {"q1": {"d1": 1}}
    write_collection(collection, tmp_path / "copy")
    assert load_collection(str(tmp_path / "copy")).documents == collection.documents


def test_the_built_in_collection_is_reached_with_its_libraries(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(sources, "read_apidocs", lambda libraries: asked.append(tuple(libraries)) or _tiny())
    load_collection("apidocs")
    load_collection("apidocs:numpy, scipy")
    assert asked == [("numpy", "scipy", "jax"), ("numpy", "scipy")]


def _tiny():
    return sources.Collection("tiny", (Document("d", "", "x"),), {"q": "x"}, {"q": {"d": 1}}, {})


@pytest.mark.skipif(not CRANFIELD.is_dir(), reason="needs the Cranfield collection beside the project")
def test_cranfield_as_counted_by_others():
    assert _counts(read_collection(CRANFIELD)) == (1400, 225, [128, 387, 734, 363])
    # Two documents are empty; query 125 judges one of them, 995, with grade 2.
    assert _counts(load_collection(str(CRANFIELD), empty_documents="drop")) == (1398, 225, [128, 387, 733, 363])


def _counts(collection):
    grades = [grade for judged in collection.qrels.values() for grade in judged.values()]
    return len(collection.documents), len(collection.queries), [grades.count(grade) for grade in (4, 3, 2, 1)]


def test_importing_the_room_loads_nothing_heavy():
    heavy = "{'tensorflow', 'ir_datasets', 'seqio', 'jax', 'flax', 'scipy', 'transformers'}"
    code = f"import sys, gr2_jax.corpus; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
