"""Deterministic splits of a collection's queries, by a keyed hash of each query's id."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gr2_jax.errors import UserError


@dataclass(frozen=True)
class Split:
    """Disjoint tuples of query ids that together cover all queries."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split_queries(query_ids: Iterable[str], *, validation: int, test: int, seed: int) -> Split:
    """Returns a split with exactly `validation` and `test` queries, and the rest for training.

    Queries are ordered by their hashes, so the order of the ids does not matter, and an added query displaces at most
    one query from each part.

    Raises UserError for a negative count, or if no query would remain for training.
    """
    ordered = _by_hash(query_ids, seed)
    _require_training_queries(len(ordered), validation, test)
    return Split(
        train=tuple(ordered[validation + test :]),
        validation=tuple(ordered[test : validation + test]),
        test=tuple(ordered[:test]),
    )


def fold_split(query_ids: Iterable[str], *, folds: int, fold: int, validation: int, seed: int) -> Split:
    """Returns fold number `fold` (from 0) of `folds`: each query is in the test part of exactly one fold.

    The test parts differ in size by one at most. Validation queries are taken from the rest.

    Raises UserError for a fold number out of range, or if no query would remain for training.
    """
    ordered = _by_hash(query_ids, seed)
    if not 2 <= folds <= len(ordered):
        raise UserError(f"{len(ordered)} queries cannot be split into {folds} folds: use 2 to {len(ordered)}")
    if not 0 <= fold < folds:
        raise UserError(f"there is no fold {fold} of {folds} folds: use 0 to {folds - 1}")
    test = ordered[fold::folds]
    _require_training_queries(len(ordered), validation, len(test))
    rest = [query for place, query in enumerate(ordered) if place % folds != fold]
    # Each fold has its own order of the rest: otherwise two folds would share most of their validation queries.
    rest = _by_hash(rest, f"{seed}/{fold}")
    return Split(train=tuple(rest[validation:]), validation=tuple(rest[:validation]), test=tuple(test))


def halves(query_ids: Iterable[str], *, seed: int) -> Split:
    """Returns a split without training queries: half for tests, of an odd number the larger, half for validation."""
    ordered = _by_hash(query_ids, seed)
    middle = (len(ordered) + 1) // 2
    return Split(train=(), validation=tuple(ordered[middle:]), test=tuple(ordered[:middle]))


def sample_queries(query_ids: Iterable[str], n: int, *, seed: int) -> tuple[str, ...]:
    """Returns a random sample of `n` queries for low-resource training; smaller samples are subsets of larger ones.

    The order of the ids does not matter. Raises UserError unless `n` is from 0 to the number of queries.
    """
    # A split with the same seed takes its test and validation queries from the start, so this order must differ.
    ordered = _by_hash(query_ids, f"{seed}/sample")
    if not 0 <= n <= len(ordered):
        raise UserError(f"{n} queries cannot be drawn from {len(ordered)}: use 0 to {len(ordered)}")
    return tuple(ordered[:n])


def _by_hash(query_ids: Iterable[str], seed: int | str) -> list[str]:
    key = hashlib.blake2b(str(seed).encode()).digest()
    return sorted(set(query_ids), key=lambda query: (hashlib.blake2b(query.encode(), key=key).digest(), query))


def _require_training_queries(queries: int, validation: int, test: int) -> None:
    if min(validation, test) < 0:
        raise UserError(f"a split cannot have {min(validation, test)} queries")
    if validation + test >= queries:
        raise UserError(
            f"{validation} validation and {test} test queries leave none of {queries} for training: ask for fewer"
        )
