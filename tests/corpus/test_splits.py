from hashlib import blake2b
from itertools import pairwise

import pytest

from gr2_jax.corpus import fold_split, sample_queries, split_queries
from gr2_jax.errors import UserError

QUERIES = [f"q{number}" for number in range(40)]


def parts(split):
    return split.train, split.validation, split.test


def test_counts_are_exact_and_parts_disjoint_for_any_order():
    split = split_queries(QUERIES, validation=5, test=10, seed=3)
    assert [len(part) for part in parts(split)] == [25, 5, 10]
    assert sorted(query for part in parts(split) for query in part) == sorted(QUERIES)
    assert split_queries(reversed(QUERIES), validation=5, test=10, seed=3) == split
    assert split_queries(QUERIES, validation=5, test=10, seed=4) != split


def test_the_split_is_the_same_on_every_machine():
    # Ids are ordered by their BLAKE2b hashes, keyed with the BLAKE2b hash of the seed.
    expected = sorted(QUERIES, key=lambda query: blake2b(query.encode(), key=blake2b(b"3").digest()).hexdigest())
    assert list(split_queries(QUERIES, validation=5, test=10, seed=3).test) == expected[:10]


def test_one_more_query_displaces_at_most_one_from_each_part():
    before = split_queries(QUERIES, validation=5, test=10, seed=0)
    for new in ("x", "y", "z", "w"):
        after = split_queries([*QUERIES, new], validation=5, test=10, seed=0)
        assert len(set(before.test) - set(after.test)) <= 1
        assert len(set(before.validation) - set(after.validation)) <= 1
        order = [query for query in (*after.test, *after.validation, *after.train) if query != new]
        assert order == [*before.test, *before.validation, *before.train]


def test_each_query_is_in_exactly_one_test_fold():
    folds = [fold_split(QUERIES, folds=3, fold=fold, validation=4, seed=1) for fold in range(3)]
    assert sorted(query for split in folds for query in split.test) == sorted(QUERIES)
    for split in folds:
        assert len(split.test) in (13, 14)
        assert len(split.validation) == 4
        assert sorted(query for part in parts(split) for query in part) == sorted(QUERIES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_queries(QUERIES, validation=20, test=20, seed=0), "leave none of 40"),
        (lambda: split_queries(QUERIES, validation=-1, test=2, seed=0), "cannot have -1"),
        (lambda: fold_split(QUERIES, folds=41, fold=0, validation=0, seed=0), "41 folds: use 2 to 40"),
        (lambda: fold_split(QUERIES, folds=3, fold=3, validation=0, seed=0), "no fold 3 of 3 folds: use 0 to 2"),
        (lambda: fold_split(QUERIES, folds=2, fold=0, validation=20, seed=0), "leave none"),
    ],
)
def test_too_few_queries(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_low_resource_samples_are_nested_by_size_and_independent_of_order():
    samples = [sample_queries(QUERIES, n, seed=2) for n in (5, 10, 20, 40)]
    assert [len(sample) for sample in samples] == [5, 10, 20, 40]
    for smaller, larger in pairwise(samples):
        assert larger[: len(smaller)] == smaller
    assert sorted(samples[-1]) == sorted(QUERIES)
    assert sample_queries(reversed(QUERIES), 10, seed=2) == samples[1]
    assert sample_queries(QUERIES, 10, seed=3) != samples[1]
    # Adding queries displaces members but does not reshuffle them.
    kept = [query for query in sample_queries([*QUERIES, "new"], 10, seed=2) if query != "new"]
    assert kept == list(samples[1][: len(kept)])


@pytest.mark.parametrize("n", [41, -1])
def test_impossible_samples(n):
    with pytest.raises(UserError, match=f"{n} queries cannot be drawn from 40: use 0 to 40"):
        sample_queries(QUERIES, n, seed=0)
