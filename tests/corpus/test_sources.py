import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gr2_jax.corpus import (
    Document,
    load_collection,
    read_collection,
    source_fingerprint,
    sources,
    write_collection,
)
from gr2_jax.errors import UserError

ir_datasets = pytest.importorskip("ir_datasets")
requests = pytest.importorskip("requests")
HashVerificationError = pytest.importorskip("ir_datasets.util.hash").HashVerificationError
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


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.exceptions.ConnectionError("no route\nto host"), "no route to host"),
        (TimeoutError(), "TimeoutError"),
        (HashVerificationError("a bad hash"), "a bad hash"),
        (RuntimeError("log in first"), "log in first"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_a_failed_download_names_the_data_set_and_the_reason(monkeypatch, error, reason):
    def failing():
        raise error
        yield

    dataset = ir_datasets.load("hand-made")
    monkeypatch.setattr(ir_datasets, "load", lambda name: dataset)
    monkeypatch.setattr(dataset, "docs_iter", failing, raising=False)
    with pytest.raises(UserError, match=f"^ir_datasets cannot download or read 'hand-made': {reason}$"):
        load_collection("irds:hand-made")


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


def test_urls_of_ir_datasets(monkeypatch):
    fielded = ir_datasets.load("msmarco-document").docs_cls()
    page = ir_datasets.formats.WarcDoc("c", "http://c.org/", "", b"", b"<p>body</p>", "text/html")
    documents = [
        fielded("a", " http://a.org/x\n", "title", "body"),
        fielded("b", "", "title", "body"),
        page,
        SimpleNamespace(doc_id="d", title=None, text="body", url=None),
        SimpleNamespace(doc_id="e", text="body", url="http://e.org"),
    ]
    dataset = SimpleNamespace(
        **{f"has_{part}": lambda: True for part in ("docs", "queries", "qrels")},
        docs_iter=lambda: iter(documents),
        queries_iter=lambda: iter([SimpleNamespace(query_id="1", default_text=lambda: "a question")]),
        qrels_iter=lambda: iter([SimpleNamespace(query_id="1", doc_id="a", relevance=1)]),
    )
    monkeypatch.setattr(ir_datasets, "load", lambda name: dataset)
    found = load_collection("irds:any").documents
    assert [document.url for document in found] == ["http://a.org/x", "", "http://c.org/", "", "http://e.org"]


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


def test_the_fingerprint_of_a_folder_is_that_of_its_bytes(tmp_path):
    contents = {
        "documents.jsonl": '{"doc_id": "d1", "text": "t"}\n',
        "queries.tsv": "q1\tx\n",
        "qrels.txt": "q1 0 d1 1\n",
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    before = source_fingerprint(str(tmp_path))
    (tmp_path / "notes.txt").write_text("not read")
    (tmp_path / "documents.jsonl.gz").write_bytes(b"not read beside documents.jsonl")
    assert source_fingerprint(str(tmp_path)) == before
    seen = {before}
    for name, text in contents.items():
        (tmp_path / name).write_text(text + "\n")
        seen.add(source_fingerprint(str(tmp_path)))
        (tmp_path / name).write_text(text)
    assert len(seen) == 4
    assert source_fingerprint(str(tmp_path)) == before
    (tmp_path / "documents.jsonl").unlink()
    assert source_fingerprint(str(tmp_path)) not in seen
    (tmp_path / "documents.jsonl").write_text(contents["documents.jsonl"])
    (tmp_path / "qrels.txt").unlink()
    for call in (source_fingerprint, load_collection):
        with pytest.raises(UserError, match=r"no qrels.txt in"):
            call(str(tmp_path))
    with pytest.raises(UserError, match="there is no collection folder"):
        source_fingerprint(str(tmp_path / "none"))


def test_the_fingerprint_of_installed_sources_holds_their_versions(monkeypatch):
    installed = {"numpy": "2.0", "scipy": "1.0", "jax": "0.1", "ir_datasets": "0.5"}
    monkeypatch.setattr("importlib.metadata.version", installed.__getitem__)
    assert source_fingerprint("apidocs:scipy, numpy") == "apidocs:numpy=2.0,scipy=1.0"
    assert source_fingerprint("apidocs") == source_fingerprint("apidocs:numpy,scipy,jax")
    assert source_fingerprint("irds:cranfield") == "irds:cranfield,ir_datasets=0.5"
    before = source_fingerprint("apidocs"), source_fingerprint("irds:cranfield")
    installed |= {"jax": "0.2", "ir_datasets": "0.6"}
    assert source_fingerprint("apidocs") != before[0]
    assert source_fingerprint("irds:cranfield") != before[1]
    with pytest.raises(UserError, match="did you mean 'numpy'"):
        source_fingerprint("apidocs:nunpy")


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
