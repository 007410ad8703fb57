"""What our writers write, our readers give back; what they could not give back is not written."""

import dataclasses
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr2_jax.corpus import (
    Collection,
    Document,
    open_collection,
    read_collection,
    read_qrels,
    read_run,
    read_topics,
    write_collection,
    write_qrels,
    write_run,
)
from gr2_jax.errors import UserError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="\ufeff"), min_size=1, max_size=6)
GRADES = st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-1000, 1000), min_size=1, max_size=4), max_size=4)
SCORES = st.floats(allow_nan=False, allow_infinity=False)
RUNS = st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=4), max_size=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("written") / "file"


def packed(path):
    other = path.with_name("packed")
    other.write_bytes(gzip.compress(path.read_bytes(), compresslevel=0, mtime=0))
    return other


@given(qrels=GRADES)
def test_qrels(path, qrels):
    write_qrels(path, qrels)
    assert read_qrels(path) == read_qrels(packed(path)) == qrels


@given(scores=RUNS)
def test_runs(path, scores):
    run = {query: sorted(hits.items(), key=lambda hit: -hit[1]) for query, hits in scores.items()}
    write_run(path, run, "tag")
    assert read_run(path) == read_run(packed(path)) == run


@settings(max_examples=50)
@given(identifier=st.text(max_size=4), place=st.sampled_from(["query", "document", "tag"]))
def test_an_id_is_written_so_that_it_is_read_or_not_at_all(path, identifier, place):
    names = {"query": "q", "document": "d", "tag": "t"} | {place: identifier}
    path.unlink(missing_ok=True)
    for write, read, value in (
        (write_qrels, read_qrels, {names["query"]: {names["document"]: 1}}),
        (lambda *given: write_run(*given, names["tag"]), read_run, {names["query"]: [(names["document"], 1.0)]}),
    ):
        try:
            write(path, value)
        except UserError:
            assert not path.exists()
        else:
            assert read(path) == value
            path.unlink()


@st.composite
def collections(draw):
    ids = draw(st.lists(IDS, max_size=4, unique=True))
    documents = tuple(Document(doc, draw(TEXTS), draw(TEXTS), draw(TEXTS)) for doc in ids)
    queries = draw(st.dictionaries(IDS, TEXTS.filter(str.strip), max_size=4))
    names = st.dictionaries(IDS, st.lists(TEXTS, max_size=2).map(tuple), max_size=2)
    return Collection(draw(TEXTS), documents, queries, draw(GRADES), {"source": draw(TEXTS)}, draw(names))


@given(collection=collections())
def test_collections(tmp_path_factory, collection):
    folder = tmp_path_factory.getbasetemp() / "collection"
    write_collection(collection, folder)
    on_one_line = {query: " ".join(text.split()) for query, text in collection.queries.items()}
    assert read_collection(folder) == dataclasses.replace(collection, queries=on_one_line)
    assert open_collection(str(folder)).hold() == read_collection(folder)


WORDS = st.lists(st.text("abc é&'-?5", min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=4).map(" ".join)
TOPICS = st.dictionaries(st.from_regex(r"[A-Z]?[0-9]{1,3}", fullmatch=True), WORDS, min_size=1, max_size=5)


@st.composite
def tagged(draw, queries):
    """A file of tagged topics as people write them: any case, closed or not, on one line or many."""

    def one_of(*choices):
        return draw(st.sampled_from(choices))

    def space():
        return one_of("", " ", "\n", "\n\n  ")

    def field(name, *labels):
        name = one_of(name, name.upper())
        return f"<{name}>{one_of('', *labels)}{space()}", space() + one_of("", f"</{name}>", f"</{name} >")

    text = one_of("", "<topics>\n", "\n\n")
    for query, words in queries.items():
        number, title, other = field("num", " Number: "), field("title", " Topic: "), field("desc", "Description:")
        text += one_of("<top>", "<TOP>", '<top lang="en">') + space()
        text += query.join(number) + space() + words.replace("&", "&amp;").join(title) + space()
        text += "other <b>words</b>, a < b".join(other) + space() + one_of("</top>\n", "</TOP>", "")
    return text.replace("\n", one_of("\n", "\r\n"))


@given(data=st.data(), queries=TOPICS)
def test_tagged_topics_however_they_are_written(path, data, queries):
    path.write_bytes(data.draw(tagged(queries)).encode())
    assert read_topics(path) == {query: " ".join(words.split()) for query, words in queries.items()}


@given(queries=TOPICS)
def test_tables_of_topics(path, queries):
    path.write_text("".join(f"{query}\t{words}\n" for query, words in queries.items()))
    assert read_topics(path) == {query: " ".join(words.split()) for query, words in queries.items()}


@given(value=st.integers(-1000, 1000), zeros=st.sampled_from(["", ".", ".0", ".000", "e0"]))
def test_a_whole_grade_in_any_notation(path, value, zeros):
    path.write_text(f"q 0 d {value}{zeros}\n")
    assert read_qrels(path) == {"q": {"d": value}}
