import re
import warnings
from types import SimpleNamespace

import pytest

from gr2_jax.corpus import Document, load_collection, open_collection
from gr2_jax.corpus.irds import antique_grade, cranfield_grade
from gr2_jax.errors import UserError

ir_datasets = pytest.importorskip("ir_datasets")
requests = pytest.importorskip("requests")
HashVerificationError = pytest.importorskip("ir_datasets.util.hash").HashVerificationError


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """Registers data sets that ir_datasets' own readers read from files."""
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
    for name, query, judgements in (
        ("second", "q2\tanother\n", "q2 0 d2 1\nq1 0 d1 2\n"),
        ("rewords", "q1\tother words\n", "q1 0 d1 2\n"),
        ("regrades", "q1\ta query\n", "q1 0 d1 1\n"),
    ):
        (folder / f"{name}.tsv").write_text(query)
        (folder / f"{name}.txt").write_text(judgements)
        part = ir_datasets.create_dataset(
            queries_tsv=str(folder / f"{name}.tsv"), qrels_trec=str(folder / f"{name}.txt")
        )
        handlers = (dataset.docs_handler(), part.queries_handler(), part.qrels_handler())
        ir_datasets.registry.register(f"hand-made/{name}", ir_datasets.Dataset(*handlers))
    other = ir_datasets.create_dataset(
        docs_tsv=str(folder / "docs.tsv"),
        queries_tsv=str(folder / "queries.tsv"),
        qrels_trec=str(folder / "qrels.txt"),
    )
    ir_datasets.registry.register("other", other)
    ir_datasets.registry.register("hand-made/docs", ir_datasets.create_dataset(docs_tsv=str(folder / "docs.tsv")))


@pytest.mark.usefixtures("registered")
def test_an_ir_datasets_id():
    collection = load_collection("irds:hand-made")
    assert collection.documents == (Document("d1", "", "some text"), Document("d2", "", "more  text"))
    assert collection.queries == {"q1": "a query"}
    assert collection.qrels == {"q1": {"d1": 2, "d2": -2}}
    assert collection.provenance["source"] == "irds:hand-made"


@pytest.mark.usefixtures("registered")
def test_the_union_of_queries_and_judgements_over_the_same_documents():
    united = load_collection("irds:hand-made+hand-made/second")
    assert united.name == "hand-made+hand-made-second"
    assert united.documents == load_collection("irds:hand-made").documents
    assert united.queries == {"q1": "a query", "q2": "another"}
    assert united.qrels == {"q1": {"d1": 2, "d2": -2}, "q2": {"d2": 1}}


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("hand-made+other", "other has the documents of other, hand-made those of hand-made"),
        ("hand-made+hand-made/rewords", "hand-made/rewords has another text for query 'q1'"),
        ("hand-made+hand-made/regrades", "hand-made/regrades has another grade for query q1, document 'd1'"),
        ("hand-made+", "name one"),
    ],
)
@pytest.mark.usefixtures("registered")
def test_ids_that_cannot_be_united(ids, words):
    with pytest.raises(UserError, match=re.escape(words)):
        open_collection(f"irds:{ids}")


def test_gov2_is_one_set_of_documents_and_clueweb_another():
    # As registered; nothing is downloaded.
    parents = {ir_datasets.docs_parent_id(f"gov2/trec-tb-200{year}") for year in (4, 5, 6)}
    assert parents == {"gov2"}
    with pytest.raises(UserError, match=r"clueweb12/trec-web-2013 has the documents of clueweb12, gov2/trec-tb-2004"):
        open_collection("irds:gov2/trec-tb-2004+clueweb12/trec-web-2013")


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


def test_grades_of_the_data_sets_with_another_coding(monkeypatch):
    # As in Cranfield's read-me: code 1 is a complete answer, 4 minimum interest, -1 the source paper.
    assert [cranfield_grade(code) for code in (1, 2, 3, 4, -1)] == [4, 3, 2, 1, 0]
    # ANTIQUE's 1 is out of context and 2 no answer; its authors take 3 and 4 as relevant.
    assert [antique_grade(label) for label in (1, 2, 3, 4)] == [0, 0, 1, 2]
    judged = [SimpleNamespace(query_id="1", doc_id=str(label), relevance=label) for label in (1, 4)]
    use(monkeypatch, [], judged)
    for name, grades in (("cranfield", [4, 1]), ("antique/test", [0, 2]), ("vaswani", [1, 4])):
        assert list(open_collection(f"irds:{name}").qrels["1"].values()) == grades


def test_cranfield_read_by_ir_datasets(monkeypatch, shared_data):
    raw = shared_data / "cranfield" / "raw"
    dataset = ir_datasets.load("cranfield")
    # Local copies replace the downloaded and unpacked files; everything else is unchanged.
    for files, name in (
        (dataset.docs_handler().docs_dlc, "cran.all.1400"),
        (dataset.queries_handler().queries_dlc, "cran.qry"),
        (dataset.qrels_handler()._qrels_dlc, "cranqrel"),
    ):
        monkeypatch.setattr(files, "_path", raw / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = open_collection("irds:cranfield").hold()
    normalised = open_collection(str(shared_data / "cranfield")).hold()
    assert [document.doc_id for document in found.documents] == [document.doc_id for document in normalised.documents]
    assert [document.doc_id for document in found.documents if not document.contents] == ["471", "995"]
    assert list(found.queries) == list(normalised.queries)
    assert found.qrels == normalised.qrels
    # Counted in the raw file: code 1 is a complete answer.
    codes = [line.split() for line in (raw / "cranqrel").read_text().splitlines()]
    complete = {(query, doc) for query, doc, code in codes if code == "1"}
    assert complete == {(query, doc) for query, grades in found.qrels.items() for doc, g in grades.items() if g == 4}
    assert "5 - code" in found.provenance["notes"]


ONE_QUERY = (SimpleNamespace(query_id="1", text="a\nquestion"),)
ONE_JUDGEMENT = (SimpleNamespace(query_id="1", doc_id="a", relevance=1),)


def use(monkeypatch, documents, judged=ONE_JUDGEMENT, queries=ONE_QUERY):
    """Makes every id load a data set of these records."""
    dataset = SimpleNamespace(
        **{f"has_{part}": lambda: True for part in ("docs", "queries", "qrels")},
        docs_iter=lambda: iter(documents),
        queries_iter=lambda: iter(queries),
        qrels_iter=lambda: iter(judged),
    )
    monkeypatch.setattr(ir_datasets, "load", lambda name: dataset)
    return dataset


def test_a_pair_judged_by_subtopic_has_its_highest_grade(monkeypatch):
    grades = (0, 2, 1)
    use(monkeypatch, [], [SimpleNamespace(query_id="1", doc_id="a", relevance=grade) for grade in grades])
    assert open_collection("irds:any").qrels == {"1": {"a": 2}}
    assert open_collection("irds:any").queries == {"1": "a question"}


def shape(name):
    """Returns a function that makes documents of a data set's type; a field that is not given holds its own name."""
    cls = ir_datasets.load(name).docs_cls()
    return lambda **given: cls(*(given.get(field, f"<{field}>") for field in cls._fields))


PAGE = b"<head><title>A title</title><script>no()</script></head><body><p>Some &amp; text</p><p>Two</p></body>"


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("vaswani", {"text": " words "}, ("", "words", "")),
        ("cranfield", {"title": "t", "text": "t . body"}, ("t", "t . body", "")),
        ("msmarco-document", {"url": " http://a.org/x\n", "body": "b"}, ("<title>", "b", "http://a.org/x")),
        ("msmarco-document", {"title": "", "body": "b"}, ("", "b", "<url>")),
        ("msmarco-document-v2", {"headings": "h", "body": "b"}, ("<title>", "h b", "<url>")),
        ("beir/arguana", {"title": "to", "text": "tomato"}, ("to", "tomato", "")),
        ("natural-questions", {"text": "x"}, ("<document_title>", "x", "<document_url>")),
        ("disks45/nocr", {"title": "t", "body": "b"}, ("t", "b", "")),
        ("cord19", {"abstract": "x"}, ("<title>", "x", "")),
        (
            "clinicaltrials/2021",
            {"title": "t"},
            ("t", "<condition>\n\n<summary>\n\n<detailed_description>\n\n<eligibility>", ""),
        ),
        ("codesearchnet", {"code": "f()"}, ("", "<func_name>\n\nf()", "")),
        ("clueweb12", {"body": PAGE, "http_headers": b"", "url": "u"}, ("A title", "Some & text Two", "u")),
        ("gov2", {"body": PAGE, "http_headers": "", "url": "u"}, ("A title", "Some & text Two", "u")),
    ],
)
def test_documents_of_many_shapes(monkeypatch, name, given, expected):
    use(monkeypatch, [shape(name)(doc_id="d", **given)])
    (found,) = open_collection("irds:any").documents()
    assert (found.doc_id, found.title, " ".join(found.text.split()), found.url) == (
        "d",
        expected[0],
        " ".join(expected[1].split()),
        expected[2],
    )


def test_shapes_without_text(monkeypatch):
    image = shape("touche-image/2022-06-13")(doc_id="d")
    link = ir_datasets.load("wapo/v2/trec-news-2018").queries_cls()("1", "d", "http://a.org")
    use(monkeypatch, [image])
    with pytest.raises(UserError, match=r"a document of this data set .* has no text"):
        list(open_collection("irds:any").documents())
    use(monkeypatch, [], queries=[link])
    with pytest.raises(UserError, match=r"a query of this data set .* has no text"):
        open_collection("irds:any")


def test_a_missing_dependency_of_ir_datasets_is_named(monkeypatch):
    def failing():
        raise ImportError("This dataset requires warc. Run 'pip install ir_datasets[warc]'")

    use(monkeypatch, []).docs_iter = failing
    with pytest.raises(UserError, match=r"'any' needs .*ir_datasets\[warc\]"):
        list(open_collection("irds:any").documents())
