import numpy as np
import pytest

from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.batches import BatchConfig, GradedBatches
from gr2_jax.data.order import EndToEnd, Mixture, visit
from gr2_jax.errors import UserError

PERIOD = 1000


def source(size, start, *, docids=2, width=3, text=False):
    """Example i has the tokens start + i and the documents i, i + 1, ..."""
    number = np.arange(size, dtype=np.int32)[:, None]
    return ExampleArrays(
        np.repeat(start + number, width, axis=1),
        number + np.arange(docids, dtype=np.int32),
        np.full((size, docids), 2, np.int32),
        np.tile(number[..., None] + 5, (1, docids, width)) if text else None,
    )


def test_places_of_any_step_give_the_walk_in_pieces():
    examples = source(17, 100)
    whole = visit(examples, np.arange(200), 3, 0)
    pieces = [visit(examples, np.arange(start, start + 8), 3, 0) for start in range(0, 200, 8)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    epochs = whole[:187].reshape(11, 17)
    assert (np.sort(epochs, axis=1) == np.arange(17)).all()
    assert len({epoch.tobytes() for epoch in epochs}) == 11
    assert (visit(examples, np.arange(200), 4, 0) != whole).any()
    assert (visit(examples, np.arange(200), 3, 1) != whole).any()


@pytest.mark.parametrize("rates", [(0.7, 0.2, 0.1), (5, 1, 1), (1, 1, 998)])
def test_a_mixture_holds_its_rates_and_loses_nothing_of_any_source(rates):
    sizes = (20, 7, 23)
    mixture = Mixture([source(size, 1000 * i) for i, size in enumerate(sizes)], rates)
    assert mixture.size == sum(sizes)
    walk = visit(mixture, np.arange(30 * PERIOD), 5, 0)
    owner = np.searchsorted(mixture.starts, walk, side="right") - 1
    share = np.asarray(rates) / sum(rates)
    for period in owner.reshape(30, PERIOD):
        assert np.abs(np.bincount(period, minlength=3) - share * PERIOD).max() < 1
    for i, size in enumerate(sizes):
        own = walk[owner == i] - mixture.starts[i]
        epochs = own[: len(own) // size * size].reshape(-1, size)
        assert len(epochs) > 0
        assert (np.sort(epochs, axis=1) == np.arange(size)).all()
    assert len({period.tobytes() for period in walk.reshape(30, PERIOD)}) == 30


def test_a_mixture_mixes_within_a_batch_too():
    mixture = Mixture([source(50, 0), source(50, 1000)], (1, 1))
    owner = visit(mixture, np.arange(PERIOD), 1, 0) >= 50
    changes = np.flatnonzero(np.diff(owner))
    assert np.diff(changes).max() < 25  # as fair coins would
    assert 400 < len(changes) < 600


def test_taking_from_a_mixture_pads_texts_and_shifts_document_rows():
    mixture = Mixture(
        [source(3, 100, docids=2, width=2), source(2, 200, docids=1, width=4)], (1, 1), first_rows=(0, 50)
    )
    taken = mixture.take(np.array([4, 0, 3, 2]))
    assert taken.tokens.tolist() == [[201] * 4, [100, 100, 0, 0], [200] * 4, [102, 102, 0, 0]]
    assert taken.docid_rows.tolist() == [[51, -1], [0, 1], [50, -1], [2, 3]]
    assert taken.grades.tolist() == [[2, 0], [2, 2], [2, 0], [2, 2]]
    assert taken.docid_tokens is None
    assert mixture.take(np.array([1])).tokens.shape == (1, 4)  # the widest source's shape, even if absent
    assert mixture.take(np.zeros(0, int)).docid_rows.shape == (0, 2)
    texts = Mixture([source(3, 100, text=True), source(2, 200, docids=1, text=True)], (1, 1))
    assert texts.take(np.array([3, 1])).docid_tokens.shape == (2, 2, 3)


def test_sources_laid_end_to_end_are_walked_as_one():
    both = EndToEnd(source(3, 100, docids=1, width=2), source(5, 200, docids=1, width=4))
    assert both.size == 8
    taken = both.take(np.array([4, 2, 2]))
    assert taken.tokens.tolist() == [[201] * 4, [102, 102, 0, 0], [102, 102, 0, 0]]
    assert taken.docid_rows.tolist() == [[1], [2], [2]]
    np.testing.assert_array_equal(visit(both, np.arange(20), 5, 1), visit(source(8, 0), np.arange(20), 5, 1))


def test_document_rows_that_reach_the_next_source_s_are_refused():
    mixture = Mixture([source(60, 0), source(5, 900)], (1, 1), first_rows=(0, 50))
    assert mixture.take(np.arange(48)).docid_rows.max() == 48
    with pytest.raises(UserError, match="source 0 of the mixture has a document of row 60: only 50 fit"):
        mixture.take(np.arange(60))


def test_a_source_without_examples_is_refused():
    empty = source(0, 0)
    with pytest.raises(UserError, match="there are no examples"):
        visit(empty, np.arange(3), 0, 0)
    assert len(visit(empty, np.arange(0), 0, 0)) == 0
    with pytest.raises(UserError, match="holds no examples"):
        Mixture([source(3, 0), empty], (1, 1))


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((1, 0), "must be positive"),
        ((1, float("nan")), "must be positive"),
        ((1, 1e-5), "thousandth"),
        ((1,), "as many"),
    ],
)
def test_impossible_rates_are_refused(rates, message):
    with pytest.raises(UserError, match=message):
        Mixture([source(3, 0), source(3, 9)], rates)


def test_sources_with_and_without_docids_as_text_do_not_mix():
    with pytest.raises(UserError, match="with and without docids as text"):
        Mixture([source(3, 0, text=True), source(3, 9)], (1, 1))


SHAPE = BatchConfig(queries=8, docids=2, indexing_texts=12, pseudo_share=0.4, shortest_span=2, longest_span=5, length=6)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_get_disjoint_parts_that_make_up_the_batch_of_one(hosts, text):
    queries = Mixture([source(50, 100, docids=3, text=text), source(30, 900, docids=2, text=text)], (3, 1), (0, 100))
    documents = source(40, 300, docids=1, width=9, text=text)
    batches = GradedBatches(queries, documents, documents, SHAPE, seed=2)
    for step in range(20):
        whole = batches(step)
        parts = [batches(step, host=host, hosts=hosts) for host in range(hosts)]
        for name, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value)


def test_an_epoch_over_all_hosts_is_every_example_once():
    queries, hosts = source(48, 100), 4
    batches = GradedBatches(queries, source(8, 0, docids=1), source(8, 0, docids=1), SHAPE, seed=2)
    seen = [[] for _ in range(hosts)]
    for step in range(48 // SHAPE.queries):
        for host in range(hosts):
            seen[host] += batches(step, host=host, hosts=hosts)["query_tokens"][:, 0].tolist()
    assert sorted(token for part in seen for token in part) == list(range(100, 148))


def test_a_run_resumes_with_another_number_of_hosts():
    batches = GradedBatches(source(50, 100), source(8, 0, docids=1), source(8, 0, docids=1), SHAPE, seed=2)

    def walked(hosts_of_step):
        return np.concatenate(
            [
                batches(step, host=host, hosts=hosts)["query_tokens"]
                for step, hosts in enumerate(hosts_of_step)
                for host in range(hosts)
            ]
        )

    np.testing.assert_array_equal(walked([1] * 9), walked([4, 4, 4, 2, 2, 1, 4, 1, 2]))


def test_a_batch_that_does_not_divide_over_the_hosts_is_refused():
    batches = GradedBatches(source(5, 0), source(5, 0), source(5, 0), SHAPE, seed=0)
    with pytest.raises(UserError, match="8 queries cannot be split evenly over 3 hosts"):
        batches(0, host=0, hosts=3)


def test_inputs_end_as_a_t5_expects():
    documents = source(9, 300, docids=1, width=9)
    shape = BatchConfig(
        queries=4, docids=2, indexing_texts=6, pseudo_share=0.5, shortest_span=2, longest_span=6, length=6
    )
    for step in range(10):
        batch = GradedBatches(source(9, 100), documents, documents, shape, seed=1, eos=1)(step)
        for name in ("query_tokens", "indexing_tokens"):
            for row in batch[name].tolist():
                kept = [token for token in row if token]
                assert row == kept + [0] * (6 - len(kept))
                assert kept[-1] == 1
                assert 1 not in kept[:-1]
                assert len(kept) >= 3
