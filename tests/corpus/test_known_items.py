"""Sentences that documents lend as queries."""

import pytest

from gr2_jax.corpus import Collection, Document, lend_sentences

TEXT = (
    "The {0} file begins here. Its second sentence is about {0} and words. {0} is told of a third time here. The end."
)


def collection(texts):
    documents = tuple(Document(f"d{i}", "", text) for i, text in enumerate(texts))
    return Collection("small", documents, {}, {}, {"source": "test"})


@pytest.fixture
def ten():
    return collection([TEXT.format(f"Name{i}") for i in range(10)])


def test_a_lent_sentence_is_taken_out_of_its_document_alone(ten):
    lent = lend_sentences(ten, 4, seed=0)
    assert len(lent.queries) == 4
    assert lent.qrels == {query: {query.removeprefix("item:"): 1} for query in lent.queries}
    for before, after in zip(ten.documents, lent.documents, strict=True):
        query = lent.queries.get(f"item:{before.doc_id}")
        if query is None:
            assert after == before
            continue
        assert query in before.text
        assert not before.text.startswith(query)
        assert " ".join(after.text.split()) == " ".join(before.text.replace(query, " ").split())
        assert 6 <= len(query.split()) <= 40


def test_the_same_seed_lends_the_same_and_fewer_are_a_part_of_more(ten):
    four, six, other = (lend_sentences(ten, n, seed=seed).queries for n, seed in ((4, 0), (6, 0), (4, 1)))
    assert lend_sentences(ten, 4, seed=0).queries == four
    assert four.items() < six.items()
    assert other != four
    assert len(lend_sentences(ten, 99, seed=0).queries) == 10


def test_what_is_short_common_or_broken_over_lines_is_treated_well():
    common = "Every file of this set has this very sentence in it."
    own = "Only this one file tells of penguins\nin such words."
    wrapped = common.replace("this very", "this\nvery")
    texts = [f"Begin. {wrapped} Go on. And end.", f"Start. {common} {own} On it goes. Stop.", "One sentence alone.", ""]
    lent = lend_sentences(collection(texts), 9, seed=0)
    assert lent.queries == {"item:d1": " ".join(own.split())}
    assert common in lent.documents[1].text
    assert "penguins" not in lent.documents[1].text


def test_none_may_be_lent(ten):
    assert lend_sentences(ten, 0, seed=0).documents == ten.documents
    assert lend_sentences(ten, 0, seed=0).queries == {}
