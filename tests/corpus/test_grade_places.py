"""The bound on grades, one for every reader, and the numbers 1 to L by which training knows them."""

import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gr2_jax.corpus import Collection, grade_places, read_collection, read_qrels, validate, write_collection
from gr2_jax.corpus.collection import Document
from gr2_jax.corpus.irds import open_irds
from gr2_jax.corpus.qrels import HIGHEST_GRADE, read_beir_qrels
from gr2_jax.errors import UserError
from gr2_jax.evaluation import per_query

judgements = st.dictionaries(
    st.sampled_from("pqr"),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 6) | st.integers(-HIGHEST_GRADE, HIGHEST_GRADE)),
)


def placed(qrels):
    places = grade_places(qrels)
    return {query: {doc: places.get(grade, 0) for doc, grade in own.items()} for query, own in qrels.items()}


@given(judgements)
def test_places_keep_the_order_and_leave_no_gap(qrels):
    again = placed(qrels)
    pairs = [(qrels[q][d], again[q][d]) for q in qrels for d in qrels[q]]
    for one, place in pairs:
        assert (place == 0) == (one <= 0)
        for other, others in pairs:
            assert (one > other > 0) == (place > others > 0)
    assert {place for _, place in pairs if place} == set(range(1, len(grade_places(qrels)) + 1))
    assert placed(again) == again


@pytest.mark.parametrize("highest", [1, 2, 4])
def test_grades_without_a_gap_keep_their_numbers(highest):
    qrels = {"q": {f"d{grade}": grade for grade in range(-1, highest + 1)}}
    assert grade_places(qrels) == {grade: grade for grade in range(1, highest + 1)}


def collection(grade):
    return Collection("small", (Document("d", "", "a text"),), {"q": "a query"}, {"q": {"d": grade}}, {})


def from_file(name, header, line, read):
    def check(tmp_path, monkeypatch, grade):
        (tmp_path / name).write_text(header + line.format(grade))
        return read(tmp_path / name)["q"]["d"]

    return check


def from_folder(tmp_path, monkeypatch, grade):
    write_collection(collection(1), tmp_path)
    (tmp_path / "qrels.txt").write_text(f"q 0 d {grade}\n")
    return read_collection(tmp_path).qrels["q"]["d"]


def from_irds(tmp_path, monkeypatch, grade):
    judged = [types.SimpleNamespace(query_id="q", doc_id="d", relevance=grade)]
    dataset = types.SimpleNamespace(queries_iter=list, qrels_iter=lambda: judged)
    monkeypatch.setattr("gr2_jax.corpus.irds._load", lambda name: dataset)
    monkeypatch.setattr("gr2_jax.corpus.irds._library", lambda ids: types.SimpleNamespace(__version__="0"))
    return open_irds("some").qrels["q"]["d"]


def written(tmp_path, monkeypatch, grade):
    write_collection(collection(grade), tmp_path / "out")
    return grade


def validated(tmp_path, monkeypatch, grade):
    return validate(collection(grade)).qrels["q"]["d"]


def measured(tmp_path, monkeypatch, grade):
    assert per_query({"q": [("d", 1.0)]}, {"q": {"d": grade}})["nDCG@5"] == {"q": 1.0}
    return grade


READERS = {
    "qrels": from_file("qrels.txt", "", "q 0 d {}\n", read_qrels),
    "beir": from_file("test.tsv", "query-id\tcorpus-id\tscore\n", "q\td\t{}\n", read_beir_qrels),
    "folder": from_folder,
    "irds": from_irds,
    "writer": written,
    "validate": validated,
    "measures": measured,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_every_reader_has_the_same_bound(tmp_path, monkeypatch, read):
    assert read(tmp_path, monkeypatch, HIGHEST_GRADE) == HIGHEST_GRADE
    for grade in (HIGHEST_GRADE + 1, 2**64):
        with pytest.raises(UserError, match=rf"the grade is {grade}: it must be from -1,000,000 to 1,000,000"):
            read(tmp_path, monkeypatch, grade)


def test_a_grade_of_hundreds_of_digits_is_not_repeated(tmp_path):
    (tmp_path / "qrels").write_text(f"q 0 d {10**400}\n")
    with pytest.raises(UserError, match=r"line 1: the grade is of more than 20 digits") as error:
        read_qrels(tmp_path / "qrels")
    assert len(str(error.value)) < len(str(tmp_path)) + 200
