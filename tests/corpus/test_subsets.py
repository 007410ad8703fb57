import dataclasses
import tracemalloc
from hashlib import blake2b

import pytest

from gr2_jax.corpus import CollectionStream, Document, subset
from gr2_jax.errors import UserError

QRELS = {"q1": {"d3": 2, "d500": 0, "elsewhere": 1}, "q2": {"d999": -2, "d3": 1}}


def stream(order=range(1000)):
    return CollectionStream(
        "many", lambda: (Document(f"d{n}", "", str(n)) for n in order), {"q1": "x", "q2": "y"}, QRELS, {"source": "s"}
    )


def ids(chosen):
    return [document.doc_id for document in chosen.documents()]


def test_all_judged_documents_and_the_smallest_hashes_of_the_others():
    key = blake2b(b"subset/7").digest()
    judged = {"d3", "d500", "d999"}
    others = sorted(
        (f"d{n}" for n in range(1000) if f"d{n}" not in judged),
        key=lambda doc: blake2b(doc.encode(), key=key, digest_size=8).hexdigest(),
    )
    for count in (3, 4, 100, 999, 1000, 2000):
        chosen = ids(subset(stream(), count, seed=7))
        assert set(chosen) == judged | set(others[: count - 3])
        assert chosen == sorted(chosen, key=lambda doc: int(doc[1:]))  # the source's order


def test_the_choice_depends_on_the_seed_but_not_on_the_order_and_is_nested():
    small, large = (set(ids(subset(stream(), count, seed=1))) for count in (50, 200))
    assert small < large
    assert len(small) == 50
    assert set(ids(subset(stream(range(999, -1, -1)), 50, seed=1))) == small
    assert set(ids(subset(stream(), 50, seed=2))) != small


def test_queries_and_judgements_stay_and_the_provenance_names_the_subset():
    chosen = subset(stream(), 10, seed=5)
    assert (chosen.queries, chosen.qrels) == (stream().queries, QRELS)
    assert chosen.provenance["source"] == "s"
    assert chosen.provenance["subset"].startswith("10 documents")
    assert ids(chosen) == ids(chosen)


def test_more_judged_documents_than_asked_for():
    with pytest.raises(UserError, match="many has 3 judged documents, more than the 2 asked for"):
        subset(stream(), 2, seed=0)


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_document(count):
    with pytest.raises(UserError, match=f"many with {count} documents .* ask for at least 1"):
        subset(stream(), count, seed=0)


def test_the_result_does_not_depend_on_the_block_size(monkeypatch):
    whole = ids(subset(stream(), 100, seed=3))
    monkeypatch.setattr("gr2_jax.corpus.subsets._BLOCK", 7)
    assert ids(subset(stream(), 100, seed=3)) == whole


def peak(number, kept=1000):
    """The peak memory, in bytes, of choosing `kept` of `number` documents and reading them once."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in subset(stream(range(number)), kept, seed=0).documents()) == kept
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_collection(monkeypatch):
    monkeypatch.setattr("gr2_jax.corpus.subsets._BLOCK", 1000)  # hashes held beyond those to keep
    assert peak(20_000) < 1.05 * peak(5_000)


def test_a_document_kept_takes_9_bytes(monkeypatch):
    monkeypatch.setattr("gr2_jax.corpus.subsets._BLOCK", 1000)
    assert peak(30_000, 25_000) - peak(10_000, 5_000) < 9 * 20_000


@pytest.mark.slow
def test_a_million_documents_in_the_memory_of_a_fifth_of_them(monkeypatch):
    monkeypatch.setattr("gr2_jax.corpus.subsets._BLOCK", 1 << 16)
    assert peak(1_000_000) < 1.05 * peak(200_000)


def test_a_stream_is_read_once_to_choose_and_once_in_each_pass():
    passes = []

    def documents():
        passes.append(None)
        return stream().documents()

    chosen = subset(dataclasses.replace(stream(), documents=documents), 10, seed=0)
    assert len(passes) == 1
    assert len(ids(chosen)) == 10
    assert len(passes) == 2
