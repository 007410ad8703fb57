"""Constrained search with a model, against scoring every docid of the corpus by teacher forcing."""

import jax
import numpy as np
import pytest

from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError
from gr2_jax.models import GR2, T5Config
from gr2_jax.search.retriever import Retriever
from gr2_jax.search.searcher import SearchOptions

CONFIG = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=8, num_heads=2, num_encoder_layers=0, num_decoder_layers=1)
DOCIDS = [(4,), (4, 9), (9, 4, 4), (13, 4), (9,), (13, 13, 13), (4, 9, 13)]
TEXTS = ["2 3 5", "14 2", "7 7 8 11", "3", "12 10 6", "11 5"]


def _encode(texts):
    rows = [[*map(int, text.split()), 1] for text in texts]
    return np.array([row + [0] * (5 - len(row)) for row in rows], np.int32).reshape(-1, 5)


@pytest.fixture(scope="module")
def retriever():
    trie = DocidTrie.from_sequences(DOCIDS)
    model = GR2(CONFIG, tuple(trie.tokens.tolist()))
    shapes = jax.eval_shape(model.init, jax.random.key(0), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]
    rng = np.random.default_rng(5)
    columns = np.full(16, -1)
    columns[trie.tokens] = np.arange(len(trie.tokens))
    return Retriever(
        model=model,
        params=jax.tree.map(lambda x: rng.normal(scale=0.7, size=x.shape).astype(np.float32), shapes),
        trie=trie,
        columns=columns,
        encode=_encode,
        doc_ids=[f"doc{i}" for i in range(len(DOCIDS))],
        docid_texts=["-".join(map(str, docid)) for docid in DOCIDS],
        # one beam more than there are docids; the second batch is half full
        options=SearchOptions(beams=8, batch=4),
    )


@pytest.fixture(scope="module")
def brute_force(retriever):
    """[Q, N]: log P(docid | query), a float64 sum of float32 log-softmaxes over the docid vocabulary."""
    targets = np.array([[*docid, 1, 0, 0, 0][:4] for docid in DOCIDS])
    tokens = np.stack([targets] * len(TEXTS))
    apply = jax.jit(retriever.model.apply)
    log_probs = jax.nn.log_softmax(apply({"params": retriever.params}, _encode(TEXTS), tokens).logits, axis=-1)
    assert log_probs.shape[-1] == 4  # 1 (the end), 4, 9 and 13
    scores = np.zeros((len(TEXTS), len(DOCIDS)))
    for q, n, t in np.ndindex(tokens.shape):
        if targets[n, t] != 0:
            scores[q, n] += log_probs[q, n, t, [1, 4, 9, 13].index(targets[n, t])]
    return scores


@pytest.fixture(scope="module")
def found(retriever):
    return retriever.search(TEXTS)


def test_with_enough_beams_search_is_brute_force(found, brute_force):
    assert len(found) == len(TEXTS)
    for hits, scores in zip(found, brute_force, strict=True):
        best = np.argsort(-scores)
        assert [hit.doc_id for hit in hits] == [f"doc{row}" for row in best]
        assert [hit.docid for hit in hits] == ["-".join(map(str, DOCIDS[row])) for row in best]
        np.testing.assert_allclose([hit.score for hit in hits], scores[best], rtol=1e-5)
        assert all(hit.proven for hit in hits)
    assert len({hits[0].doc_id for hits in found}) > 1  # the query matters


def test_a_query_does_not_depend_on_the_others(retriever, found):
    """Nor on whether its batch is full: the fifth and sixth of six were in a padded batch."""
    together, (alone,) = retriever.search(TEXTS[2:6]), retriever.search(TEXTS[4:5])
    for hits, others in [(together[2], found[4]), (together[3], found[5]), (alone, found[4])]:
        assert [hit.doc_id for hit in hits] == [hit.doc_id for hit in others]
        np.testing.assert_allclose([hit.score for hit in hits], [hit.score for hit in others], rtol=1e-5)


def test_k_cuts_the_list_and_no_list_is_longer_than_the_corpus(retriever, found):
    for hits, all_hits in zip(retriever.search(TEXTS, k=3), found, strict=True):
        assert [hit.doc_id for hit in hits] == [hit.doc_id for hit in all_hits[:3]]
        assert all(hit.proven for hit in hits)
    assert [len(hits) for hits in retriever.search(TEXTS, k=100)] == [len(DOCIDS)] * len(TEXTS)


def test_few_beams_flag_what_is_not_proven(retriever, brute_force):
    """Few beams drop docids: scores stay correct, and a proven hit has the rank that brute force gives it."""
    narrow = retriever.with_options(beams=2)
    exact = []
    for hits, scores in zip(narrow.search(TEXTS, k=2), brute_force, strict=True):
        best = np.argsort(-scores)
        assert len(hits) == 2
        rows = [int(hit.doc_id.removeprefix("doc")) for hit in hits]
        np.testing.assert_allclose([hit.score for hit in hits], scores[rows], rtol=1e-5)
        assert all(row == top for hit, row, top in zip(hits, rows, best, strict=False) if hit.proven)
        exact.append([hit.proven for hit in hits])
    assert exact == [sorted(flags, reverse=True) for flags in exact]  # no proof past a gap
    assert len({flag for flags in exact for flag in flags}) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"exact": "exhaustive"},
        {"exact": "adaptive"},
        {"exact": "adaptive", "beams": 1, "max_beams": 4, "exhaustive_limit": 0},
        {"exact": "adaptive", "beams": 1, "max_beams": 2},
    ],
)
def test_exact_searches_are_brute_force(retriever, brute_force, options):
    """By scoring all docids, by widening the beams, or, if the widest are too few, by scoring all docids in the end."""
    result = retriever.with_options(**({"beams": 2} | options)).search_tokens(_encode(TEXTS), 3)
    best = np.argsort(-brute_force)
    right = [rows.tolist() == top[:3].tolist() for rows, top in zip(result.rows, best, strict=True)]
    assert all(right[i] for i in np.flatnonzero(result.all_proven))
    assert result.all_proven.all() or options.get("exhaustive_limit") == 0
    assert result.all_proven.any()
    scores = np.take_along_axis(brute_force, result.rows, axis=1)
    np.testing.assert_allclose(result.scores, scores, rtol=1e-5)


def test_exhaustive_bound_is_the_best_score_left_out(retriever, brute_force):
    result = retriever.with_options(exact="exhaustive").search_tokens(_encode(TEXTS), 3)
    np.testing.assert_allclose(result.pruned_bound, np.sort(brute_force)[:, -4], rtol=1e-5)
    everything = retriever.with_options(exact="exhaustive").search_tokens(_encode(TEXTS), 20)
    assert everything.valid.sum(axis=1).tolist() == [len(DOCIDS)] * len(TEXTS)
    assert everything.rows[:, 7:].max() == -1
    np.testing.assert_array_equal(everything.pruned_bound, -np.inf)


def test_adaptive_searches_only_what_is_not_proven_again(retriever):
    narrow = retriever.with_options(beams=2)
    first = narrow.search_tokens(_encode(TEXTS), 1)
    widened = narrow.with_options(exact="adaptive").search_tokens(_encode(TEXTS), 1)
    assert first.all_proven.any()
    assert not first.all_proven.all()
    for before, after in zip(first[:4], widened[:4], strict=True):
        np.testing.assert_array_equal(before[first.all_proven], after[first.all_proven])


def test_a_length_penalty_ranks_otherwise_and_proves_nothing(retriever, brute_force):
    lengths = np.array([len(docid) + 1 for docid in DOCIDS])
    by_length = retriever.with_options(beams=20, length_penalty=2.0).search(TEXTS)
    for hits, scores in zip(by_length, brute_force / lengths**2.0, strict=True):
        best = np.argsort(-scores)
        assert [hit.doc_id for hit in hits] == [f"doc{row}" for row in best]
        np.testing.assert_allclose([hit.score for hit in hits], scores[best], rtol=1e-5)
        assert not any(hit.proven for hit in hits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beams": 0}, "beams is 0: it must be at least 1"),
        ({"beams": 20_000}, "beams is 20000: .*10,000"),
        ({"batch": 0}, "batch is 0: it must be at least 1"),
        ({"exact": "exhaustiv"}, "exact is 'exhaustiv': did you mean 'exhaustive'"),
        ({"exact": "adaptive", "length_penalty": 1.0}, "nothing can be proven"),
    ],
)
def test_impossible_options_are_refused(retriever, changes, message):
    with pytest.raises(UserError, match=message):
        retriever.with_options(**changes)


@pytest.mark.parametrize("k", [0, -1, 10_001])
def test_list_lengths_out_of_range_are_refused(retriever, k):
    with pytest.raises(UserError, match=f"1 to 10,000 documents, not {k}"):
        retriever.search(TEXTS, k=k)


def test_other_parameters_reuse_the_compiled_programs(retriever, found):
    turned = jax.tree.map(lambda x: -x, retriever.params)
    other = retriever.with_params(turned)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gr2_jax.search.retriever.beam_program", None)  # compiling again would call it
        assert [hits[0].score for hits in other.search(TEXTS)] != [hits[0].score for hits in found]
        assert other.with_params(retriever.params).search(TEXTS) == found
    assert retriever.search(TEXTS) == found


def test_scoring_every_docid_of_too_large_a_corpus_is_refused(retriever):
    limited = retriever.with_options(exact="exhaustive", exhaustive_limit=len(DOCIDS) - 1)
    with pytest.raises(UserError, match="would score 7 docids for every query, more than exhaustive_limit, 6: use 'ad"):
        limited.search(TEXTS[:1], 1)


def test_rows_and_scores_as_arrays(retriever, brute_force):
    result = retriever.search_tokens(_encode(TEXTS))
    assert result.rows.shape == result.scores.shape == result.valid.shape == (6, 8)
    np.testing.assert_array_equal(result.rows, np.pad(np.argsort(-brute_force), ((0, 0), (0, 1)), constant_values=-1))
    np.testing.assert_array_equal(result.valid, [[True] * 7 + [False]] * 6)
    np.testing.assert_array_equal(result.pruned_bound, [-np.inf] * 6)


def test_a_text_without_tokens_finds_something_and_no_text_nothing(retriever):
    hits, _ = retriever.search(["", "3"])
    assert len(hits) == len(DOCIDS)
    assert all(np.isfinite(hit.score) for hit in hits)
    empty = np.zeros((1, 5), np.int32)
    result = retriever.search_tokens(empty)
    assert np.isfinite(result.scores[result.valid]).all()
    assert retriever.search([]) == []
