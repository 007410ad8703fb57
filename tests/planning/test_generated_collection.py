"""Generated collections have the statistics that they are asked for, and document i is always the same."""

import itertools
from collections import Counter

import numpy as np
import pytest

from gr2_jax.corpus import validate, write_collection
from gr2_jax.errors import UserError
from gr2_jax.planning.generated_collection import (
    Statistics,
    generated_collection,
    load_statistics,
    made_up_words,
    zipf_steps,
)

DOCUMENTS = 2000
SMALL = {
    "documents": 1_000_000,
    "words": 60.0,
    "median_words": 40.0,
    "title_words": 4.0,
    "untitled": 0.1,
    "duplicates": 0.2,
    "url_depth": 3.0,
    "queries": 60,
    "query_words": 2.5,
    "judged": ((3, 1.5), (1, 4.0), (0, 6.0), (-2, 1.0)),
    "different_words": 5000,
}


def statistics(**changes):
    return Statistics(**SMALL | changes)


@pytest.fixture(scope="module")
def collection():
    return generated_collection(statistics(), DOCUMENTS).hold()


@pytest.fixture(scope="module")
def words():
    """Of texts that are all different, in lower case."""
    documents = generated_collection(statistics(duplicates=0.0), DOCUMENTS).documents()
    return [document.text.lower().replace(".", "").split() for document in documents]


def near(values, expected):
    """Whether their mean is the expected one, up to four standard errors."""
    values = np.array(values, float)
    return abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5


def test_lengths_of_texts(words):
    lengths = [len(text) for text in words]
    assert near(lengths, 60)
    assert np.median(lengths) == pytest.approx(40, rel=0.1)


def test_titles_and_urls(collection):
    titles = [document.title.split() for document in collection.documents]
    assert near([not title for title in titles], 0.1)
    assert near([len(title) for title in titles if title], 4)
    urls = [document.url for document in collection.documents]
    assert near([url.count("/") - 2 for url in urls], 3)
    assert len(set(urls)) == DOCUMENTS


def test_duplicates_have_the_title_and_the_text_of_another(collection):
    seen, again = set(), []
    for document in collection.documents:
        contents = document.title, document.text
        again.append(contents in seen)
        seen.add(contents)
    assert near(again, 0.2)


@pytest.mark.parametrize("zipf", [0.8, 1.0, 1.3])
def test_frequencies_of_words_fall_with_their_rank_by_zipfs_law(zipf):
    documents = generated_collection(statistics(zipf=zipf, duplicates=0.0), DOCUMENTS).documents()
    counts = Counter(word for document in documents for word in document.text.lower().replace(".", "").split())
    ranked = [counts[word] for word in itertools.islice(made_up_words(), 50)]
    slope = np.polyfit(np.log(np.arange(1, 51)), np.log(ranked), 1)[0]
    assert slope == pytest.approx(-zipf, abs=0.06)


@pytest.mark.parametrize(("words", "zipf"), [(1_000_000, 1.0), (5000, 0.8), (1, 1.0)])
def test_every_draw_below_one_has_a_word(words, zipf):
    steps = zipf_steps(words, zipf)
    assert len(steps) == words
    assert steps[-1] == 1.0


def test_words_are_different():
    assert len(set(itertools.islice(made_up_words(), 10_000))) == 10_000


def test_a_document_is_the_same_in_every_collection_and_pass(collection):
    smaller = generated_collection(statistics(), 50)
    assert [*smaller.documents()] == [*smaller.documents()] == [*collection.documents[:50]]
    assert [*generated_collection(statistics(), 50, seed=1).documents()] != [*smaller.documents()]


def test_a_collection_has_the_same_bytes_when_it_is_written_again(tmp_path):
    for name in ("one", "two"):
        write_collection(generated_collection(statistics(), 100), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 4
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


def test_judgements(collection):
    assert len(collection.queries) == len(collection.qrels) == 60
    for grade, mean in SMALL["judged"]:
        assert near([list(grades.values()).count(grade) for grades in collection.qrels.values()], mean)
    assert near([len(query.split()) for query in collection.queries.values()], 2.5)
    assert validate(collection) == collection


def test_a_query_has_words_of_a_best_document(collection):
    contents = {
        document.doc_id: document.contents.lower().replace(".", "").split() for document in collection.documents
    }
    for query, grades in collection.qrels.items():
        best = [doc for doc, grade in grades.items() if grade == max(grades.values())]
        assert any(set(collection.queries[query].split()) <= set(contents[doc]) for doc in best)


def test_with_fewer_documents_than_judgements_the_best_grades_remain():
    qrels = generated_collection(statistics(judged=((1, 1e-9), (0, 50.0))), 5).qrels
    assert all(sorted(grades.values()) == [0, 0, 0, 0, 1] for grades in qrels.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"documents": 0}, "documents is 0"),
        ({"words": 30.0}, "words is 30.0: the mean is at least the median, 40.0"),
        ({"untitled": 1.5}, "untitled is 1.5"),
        ({"zipf": 0.0}, "zipf is 0.0"),
        ({"judged": ((0, 4.0), (-2, 1.0))}, "documents of a grade above 0 are missing"),
        *(
            ({"judged": judged}, "judged is .*: it must be pairs of a whole number")
            for judged in (
                3,
                ((1,),),
                (1, 2.0),
                ((1, -2.0),),
                ((1.5, 2.0),),
                ((1, float("nan")),),
                ((1, float("inf")),),
            )
        ),
    ],
)
def test_statistics_that_no_collection_has_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        statistics(**changes)


def test_the_statistics_of_a_config():
    assert load_statistics("configs/gov2.py").documents == 25_205_179
    with pytest.raises(UserError, match=r"configs/cranfield.py defines no `statistics = Statistics\(...\)`"):
        load_statistics("configs/cranfield.py")
