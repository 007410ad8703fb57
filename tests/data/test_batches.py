import dataclasses
import itertools

import numpy as np
import pytest

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import BatchConfig, GradedBatches, PairBatches, cut_spans, draw_by_grade, draw_rows
from gr2_jax.errors import UserError

EOS = 1
QUERIES, PSEUDO, DOCUMENTS, WIDTH = 7, 11, 5, 30
SHAPE = BatchConfig(queries=3, docids=2, indexing_texts=10, pseudo_share=0.4, shortest_span=2, longest_span=5, length=8)


def numbered(count, start, widths, rows, grades):
    """Example i is start + i, then other tokens that name it too, so that any token tells its example."""
    tokens = np.zeros((count, WIDTH), np.int32)
    for i in range(count):
        tokens[i, : widths[i % len(widths)]] = start + i + 1000 * np.arange(widths[i % len(widths)])
    return ExampleArrays(tokens, np.array(rows, np.int32), np.array(grades, np.int32))


@pytest.fixture(scope="module")
def sources():
    judged = [[0, 3, -1], [1, -1, -1], [2, 4, 0], [3, 0, 1], [4, 2, -1], [0, 1, 2], [4, 3, 2]]
    grades = [[4, 1, 0], [2, 0, 0], [3, 3, 1], [1, 1, 1], [4, 4, 0], [4, 3, 2], [2, 2, 1]]
    return {
        "queries": numbered(QUERIES, 100, [3, 12], judged, grades),
        "pseudo": numbered(PSEUDO, 200, [1, 20], [[i % DOCUMENTS] for i in range(PSEUDO)], [[4]] * PSEUDO),
        "documents": numbered(DOCUMENTS, 300, [30, 9, 3, 1, 17], [[i] for i in range(DOCUMENTS)], [[4]] * DOCUMENTS),
    }


def example_of(tokens, start):
    return tokens[:, 0] % 1000 - start


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("make", ["graded", "pairs"])
def test_a_batch_is_a_function_of_seed_and_step_alone(sources, make):
    def fresh(seed):
        if make == "graded":
            return GradedBatches(**sources, shape=SHAPE, seed=seed)
        return PairBatches(**sources, pairs=6, augmented=3, document_length=9, query_length=5, eos=EOS, seed=seed)

    walked = [fresh(3)(step) for step in range(12)]
    later = fresh(3)
    for step in (11, 4, 0, 7):  # resumed, and in any order
        assert_same(later(step), walked[step])
    texts = "indexing_tokens" if make == "graded" else "document_tokens"
    assert len({batch[texts].tobytes() for batch in walked}) == 12
    assert fresh(4)(0)[texts].tobytes() != walked[0][texts].tobytes()


@pytest.mark.parametrize("queries", [3, 7, 19])  # 19: more than two epochs in every batch
def test_each_epoch_visits_every_example_once(sources, queries):
    shape = dataclasses.replace(SHAPE, queries=queries, indexing_texts=10 * queries)
    batches = [GradedBatches(**sources, shape=shape, seed=5)(step) for step in range(14)]
    pseudo = 4 * queries
    walks = {
        QUERIES: [example_of(b["query_tokens"], 100) for b in batches],
        PSEUDO: [example_of(b["indexing_tokens"][:pseudo], 200) for b in batches],
        DOCUMENTS: [b["indexing_rows"][pseudo:] for b in batches],
    }
    for size, parts in walks.items():
        walk = np.concatenate(parts)
        epochs = walk[: len(walk) // size * size].reshape(-1, size)
        assert len(epochs) >= 6
        assert (np.sort(epochs, axis=1) == np.arange(size)).all()
        assert len(np.unique(epochs, axis=0)) > 1  # in a new order


def test_a_graded_batch_holds_the_sources_judgements(sources):
    batch = GradedBatches(**sources, shape=SHAPE, seed=1)(2)
    queries = example_of(batch["query_tokens"], 100)
    np.testing.assert_array_equal(batch["query_tokens"], sources["queries"].tokens[queries, :8])
    np.testing.assert_array_equal(batch["judged_rows"], sources["queries"].docid_rows[queries])
    np.testing.assert_array_equal(batch["judged_grades"], sources["queries"].grades[queries])
    for rows, grades, judged, all_grades in zip(
        batch["docid_rows"], batch["grades"], batch["judged_rows"], batch["judged_grades"], strict=True
    ):
        known = dict(zip(judged.tolist(), all_grades.tolist(), strict=True))
        assert all(known[row] == grade for row, grade in zip(rows.tolist(), grades.tolist(), strict=True))
    assert batch["indexing_tokens"].shape == (10, 8)
    pseudo = example_of(batch["indexing_tokens"][:4], 200)
    np.testing.assert_array_equal(batch["indexing_tokens"][:4], sources["pseudo"].tokens[pseudo, :8])
    assert batch["indexing_rows"][:4].tolist() == [i % DOCUMENTS for i in pseudo]
    assert batch["indexing_rows"][4:].tolist() == (batch["indexing_tokens"][4:, 0] % 1000 - 300).tolist()


def test_the_augmentation_s_texts_are_queries_at_the_given_share(sources):
    """The first of them, on any number of hosts; spans never are, and without any the batch says nothing of it."""
    batches = [GradedBatches(**sources, shape=dataclasses.replace(SHAPE, query_share=x), seed=1) for x in (1, 0.5, 0)]
    every, half, none = (make(2) for make in batches)
    assert every["indexing_grades"].tolist() == [4] * 4 + [0] * 6
    assert half["indexing_grades"].tolist() == [4] * 2 + [0] * 8
    assert_same(none, {name: rows for name, rows in half.items() if name != "indexing_grades"})
    parts = [
        GradedBatches(**sources, shape=dataclasses.replace(SHAPE, queries=2), seed=1)(2, host, 2)["indexing_grades"]
        for host in (0, 1)
    ]
    assert np.concatenate(parts).tolist() == every["indexing_grades"].tolist()


def test_spans_with_a_length_of_their_own_come_apart(sources):
    """The same texts; each host brings its part of both."""
    long = dataclasses.replace(SHAPE, queries=2, document_length=20, longest_span=15)
    batch = GradedBatches(**sources, shape=long, seed=1)(2)
    assert batch["indexing_tokens"].shape == (4, 8)
    assert batch["document_tokens"].shape == (6, 20)
    together = GradedBatches(**sources, shape=dataclasses.replace(long, document_length=0, length=20), seed=1)(2)
    np.testing.assert_array_equal(batch["document_tokens"], together["indexing_tokens"][4:])
    np.testing.assert_array_equal(batch["document_rows"], together["indexing_rows"][4:])
    np.testing.assert_array_equal(batch["indexing_tokens"], together["indexing_tokens"][:4, :8])
    halves = [GradedBatches(**sources, shape=long, seed=1)(2, host, 2) for host in (0, 1)]
    assert_same(batch, {name: np.concatenate([half[name] for half in halves]) for name in batch})


def test_spans_alone_are_one_block_of_their_own_length(sources):
    alone = dataclasses.replace(SHAPE, pseudo_share=0.0, document_length=20)
    batch = GradedBatches(**sources, shape=alone, seed=1)(2)
    assert batch["indexing_tokens"].shape == (10, 20)
    assert "document_tokens" not in batch


def test_a_span_longer_than_its_input_is_refused():
    with pytest.raises(UserError, match=r"longest_span is 25: .* shortest_span, 2, and document_length, 20"):
        dataclasses.replace(SHAPE, document_length=20, longest_span=25)


def test_binary_batches_know_no_grades(sources):
    shape = dataclasses.replace(SHAPE, queries=QUERIES * 400, docids=1)
    batch = GradedBatches(**sources, shape=shape, seed=1, binary=True)(0)
    for name in ("grades", "judged_grades", "indexing_grades"):
        assert set(np.unique(batch[name])) <= {0, 1}
    example = 5  # grades 4, 3 and 2: all drawn alike
    drawn = batch["docid_rows"][example_of(batch["query_tokens"], 100) == example, 0]
    counts = np.bincount(drawn, minlength=3)[:3]
    assert counts.sum() == 400
    assert np.abs(counts - 400 / 3).max() < 4.5 * (400 * 2 / 9) ** 0.5


def test_negatives_that_are_judged_come_first_and_weigh_more(sources):
    judged = np.zeros(MINED.shape, bool)
    judged[0, 2] = judged[2, 1] = judged[4] = True
    changes = {"negatives": MINED, "negatives_per_query": 2, "judged_negatives": judged, "unjudged_weight": 0.25}
    batches = GradedBatches(**sources, shape=dataclasses.replace(SHAPE, queries=QUERIES), seed=3, **changes)
    for step in range(10):
        batch = batches(step)
        queries = example_of(batch["query_tokens"], 100)
        for query, rows, weights in zip(queries, batch["negative_rows"], batch["negative_weights"], strict=True):
            known = set(MINED[query][judged[query]])
            assert len(known & set(rows)) == min(2, len(known))
            assert weights.tolist() == [1.0 if row in known else 0.25 for row in rows]


@pytest.mark.parametrize(("share", "name"), [(0.0, "documents"), (1.0, "pseudo")])
def test_one_source_may_be_left_out(sources, share, name):
    batch = GradedBatches(**sources, shape=dataclasses.replace(SHAPE, pseudo_share=share), seed=1)(0)
    start = {"pseudo": 200, "documents": 300}[name]
    assert set(batch["indexing_tokens"][:, 0] % 1000) <= set(range(start, start + 20))


def test_the_best_grade_is_first_nothing_is_repeated_and_only_short_lists_are_padded():
    rng = np.random.default_rng(0)
    grades = rng.integers(0, 5, (500, 6)) * (rng.random((500, 6)) < 0.6)
    grades[0] = 0
    picked = draw_by_grade(grades, 4, rng.random((2, *grades.shape)))
    drawn = np.take_along_axis(grades, picked, 1)
    assert picked.shape == (500, 4)
    assert (drawn[:, 0] == grades.max(axis=1)).all()
    assert all(len(set(row)) == 4 for row in picked.tolist())
    assert ((drawn > 0).sum(axis=1) == np.minimum((grades > 0).sum(axis=1), 4)).all()
    assert (np.diff((drawn > 0).astype(int), axis=1) <= 0).all()  # padding comes last


def exact_odds(grades):
    """P(ordered draw of 3): one of the best grade, all equally likely, then with odds in proportion to the grade."""
    odds = {}
    for draw in itertools.permutations(range(len(grades)), 3):
        probability = (grades[draw[0]] == max(grades)) / grades.count(max(grades))
        for place in (1, 2):
            rest = sum(grades) - sum(grades[i] for i in draw[:place])
            probability *= grades[draw[place]] / rest
        odds[draw] = probability
    return odds


@pytest.mark.parametrize("grades", [[4, 4, 1, 2], [3, 1, 1, 0, 2], [1, 1, 1, 1], [4, 4, 4, 1, 1]])
def test_odds_are_in_proportion_to_the_grade(grades):
    count = 60_000
    uniform = np.random.default_rng(7).random((2, count, len(grades)))
    picked = draw_by_grade(np.tile(grades, (count, 1)), 3, uniform)
    found, times = np.unique(picked, axis=0, return_counts=True)
    seen = dict(zip(map(tuple, found.tolist()), times.tolist(), strict=True))
    exact = exact_odds(grades)
    assert sum(exact.values()) == pytest.approx(1.0)
    for draw, probability in exact.items():
        spread = (count * probability * (1 - probability)) ** 0.5
        assert abs(seen.get(draw, 0) - count * probability) <= 4.5 * spread, (draw, probability)


MINED = np.array([[2, 4, 1], [3, -1, -1], [1, 4, 3], [2, -1, -1], [0, 1, 3], [-1, -1, -1], [0, 1, -1]], np.int32)


def test_negatives_come_from_the_query_s_own_list_and_change_nothing_else(sources):
    shape = dataclasses.replace(SHAPE, queries=9)
    without = GradedBatches(**sources, shape=shape, seed=3)
    batches = GradedBatches(**sources, shape=shape, seed=3, negatives=MINED, negatives_per_query=2)
    seen, later = (
        [[] for _ in MINED],
        GradedBatches(**sources, shape=shape, seed=3, negatives=MINED, negatives_per_query=2),
    )
    for step in range(40):
        batch = batches(step)
        rows = batch.pop("negative_rows")
        assert_same(batch, without(step))
        assert rows.dtype == np.int32
        assert rows.shape == (9, 2)
        for query, drawn in zip(example_of(batch["query_tokens"], 100), rows.tolist(), strict=True):
            seen[query].append(tuple(drawn))
    for mined, drawn in zip(MINED.tolist(), seen, strict=True):
        real = [row for row in mined if row >= 0]
        pairs = set(itertools.permutations(real, 2)) if len(real) > 1 else {(*real, -1, -1)[:2]}
        assert set(drawn) == pairs
    np.testing.assert_array_equal(later(17)["negative_rows"], batches(17)["negative_rows"])
    other = GradedBatches(**sources, shape=shape, seed=4, negatives=MINED, negatives_per_query=2)
    assert any((other(step)["negative_rows"] != batches(step)["negative_rows"]).any() for step in range(3))


def test_every_row_of_a_list_is_drawn_equally_often():
    rows = np.tile([7, 3, 9, 5, -1], (20_000, 1))
    drawn = draw_rows(rows, 2, np.random.default_rng(5).random(rows.shape))
    counts = np.bincount(drawn.ravel(), minlength=10)[[3, 5, 7, 9]]
    assert counts.sum() == 40_000
    assert np.abs(counts - 10_000).max() < 4.5 * (20_000 * 0.25) ** 0.5  # each is in half of the draws of two


@pytest.mark.parametrize(("span", "length", "width"), [((2, 5), 8, WIDTH), ((3, 12), 7, WIDTH), ((4, 6), 8, 5)])
def test_spans_are_runs_of_the_document(span, length, width):
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, width + 1, 400)
    documents = np.where(np.arange(width) < sizes[:, None], 1 + np.arange(width), 0)
    cut = cut_spans(documents, rng.integers(span[0], span[1] + 1, 400), rng.random(400), length)
    assert cut.shape == (400, length)
    seen = set()
    for size, tokens in zip(sizes.tolist(), cut.tolist(), strict=True):
        kept = [token for token in tokens if token]
        seen.add(len(kept))
        assert tokens == kept + [0] * (length - len(kept))
        assert kept == list(range(kept[0], kept[0] + len(kept)))  # contiguous
        assert kept[-1] <= size  # of this document
        assert min(span[0], size, length) <= len(kept) <= min(span[1], length)
    assert seen >= set(range(span[0], min(span[1], length, width) + 1))


def test_a_span_starts_anywhere_with_equal_odds():
    documents, uniform = np.tile(np.arange(1, 11), (20_000, 1)), np.random.default_rng(3).random(20_000)
    starts = cut_spans(documents, np.full(20_000, 4), uniform, 4)[:, 0]
    counts = np.bincount(starts, minlength=11)[1:8]
    assert counts.sum() == 20_000  # 7 places: 1 .. 7
    assert np.abs(counts - 20_000 / 7).max() < 4.5 * (20_000 / 7) ** 0.5


def test_pairs_hold_a_query_with_its_end_and_a_document_of_its_best_grade(sources):
    batches = PairBatches(**sources, pairs=7, augmented=4, document_length=9, query_length=5, eos=EOS, seed=2)
    queries, pseudo, documents = sources["queries"], sources["pseudo"], sources["documents"]
    for step in range(6):
        batch = batches(step)
        assert batch["query_tokens"].shape == (7, 5)
        np.testing.assert_array_equal(batch["document_tokens"], documents.tokens[batch["document_rows"], :9])
        for place, (row, tokens) in enumerate(zip(batch["document_rows"], batch["query_tokens"].tolist(), strict=True)):
            source, start = (queries, 100) if place < 3 else (pseudo, 200)
            example = tokens[0] % 1000 - start
            text = [int(t) for t in source.tokens[example] if t]
            closed = [*text[:4], EOS]
            assert tokens == closed + [0] * (5 - len(closed))
            best = source.grades[example].max()
            assert row in source.docid_rows[example][source.grades[example] == best]
        texts = batch["query_tokens"][:, :4]
        same = (texts[:, None] == texts[None]).all(axis=2)
        np.testing.assert_array_equal(batch["query_ids"][:, None] == batch["query_ids"], same)


def test_pairs_visit_each_query_and_pseudo_query_once_an_epoch(sources):
    batches = PairBatches(**sources, pairs=9, augmented=5, document_length=9, query_length=5, eos=EOS, seed=2)
    tokens = [batches(step)["query_tokens"] for step in range(14)]
    for size, walk in (
        (QUERIES, np.concatenate([example_of(t[:4], 100) for t in tokens])),
        (PSEUDO, np.concatenate([example_of(t[4:], 200) for t in tokens])),
    ):
        epochs = walk[: len(walk) // size * size].reshape(-1, size)
        assert (np.sort(epochs, axis=1) == np.arange(size)).all()
