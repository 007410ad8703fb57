"""Our constrained search over our T5 against transformers' `generate(prefix_allowed_tokens_fn=...)` in torch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_generation_parity import BEAMS, EOS, LENGTH, TOKENS, random_model

from gr2_jax.decoding import constrained_beam_search
from gr2_jax.docids import DocidTrie
from gr2_jax.models import T5, empty_cache, load_hf_t5

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch")

RULES = [(penalty, stopping) for penalty in (0.0, 1.0, 2.0) for stopping in ("never", False, True)] + [(-1.0, False)]
UNFILLED = -1e6  # transformers scores missing results -1e9, which its length penalty may divide by up to 64


def random_docids(count, firsts, seed=0):
    """Docids of 1 to LENGTH - 1 tokens, `firsts` first ones, then 4 at each place; many are prefixes of others."""
    rng, docids = np.random.default_rng(seed), {}
    while len(docids) < count:
        length = rng.integers(1, LENGTH)
        tokens = [rng.integers(2, 2 + firsts), *(10 * np.arange(1, length) % 50 + rng.integers(2, 6, length - 1))]
        docids[tuple(map(int, tokens))] = None
    return list(docids)


MANY, FEW = random_docids(600, firsts=30), random_docids(15, firsts=3)


@pytest.fixture(scope="module", params=["t5-1.0", "t5-1.1"])
def peer(request, tmp_path_factory):
    """Torch's model, and our search with the same weights and encoded sources."""
    model, directory = random_model(request.param), tmp_path_factory.mktemp(request.param)
    model.save_pretrained(directory, safe_serialization=True)
    config, params = load_hf_t5(directory)
    apply, tokens = partial(T5(config).apply, {"params": params}), jnp.asarray(TOKENS)
    memory = jax.jit(lambda: apply(apply(tokens, method="encode"), tokens != 0, method="memory"))()
    return model, partial(ours, config, params, memory)


def ours(config, params, memory, docids, **options):
    trie = DocidTrie.from_sequences(docids)
    sizes = {"max_length": trie.max_depth, "widths": trie.widths(BEAMS)}
    return search(config, params, memory, trie.on_device, **sizes, **options)


@partial(jax.jit, static_argnames=("config", "max_length", "widths", "length_penalty", "early_stopping"))
def search(config, params, memory, trie, *, max_length, **options):
    def step(last, position, cache):
        apply = partial(T5(config).apply, {"params": params})
        states, cache = apply(last, position, cache, memory, method="decode_step")
        return apply(states, method="logits"), cache

    cache = empty_cache(config, len(TOKENS), 1, max_length)
    return constrained_beam_search(step, cache, trie, batch=len(TOKENS), beams=BEAMS, max_length=max_length, **options)


def generate(model, docids, length_penalty, early_stopping):
    """Transformers' rows [B, M], -1 where it found none, and scores, -inf there."""
    paths = {(*docid, EOS): row for row, docid in enumerate(docids)}
    children = {}
    for path in paths:
        for length in range(len(path)):
            children.setdefault(path[:length], set()).add(path[length])
    tokens = torch.tensor(TOKENS)
    out = model.generate(
        tokens,
        attention_mask=tokens != 0,
        prefix_allowed_tokens_fn=lambda _, sent: sorted(children.get(tuple(sent[1:].tolist()), [EOS])),
        max_new_tokens=max(map(len, paths)),
        num_beams=BEAMS,
        num_return_sequences=BEAMS,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    scores = out.sequences_scores.numpy()
    found = [tuple(docid[: docid.index(EOS) + 1]) if EOS in docid else () for docid in out.sequences[:, 1:].tolist()]
    rows = np.array([paths.get(path, -1) for path in found])
    rows, scores = np.where(scores > UNFILLED, rows, -1), np.where(scores > UNFILLED, scores, -np.inf)
    return rows.reshape(-1, BEAMS), scores.reshape(-1, BEAMS)


def assert_same(result, rows, scores):
    np.testing.assert_array_equal(result.rows, rows)
    np.testing.assert_array_equal(result.valid, rows >= 0)
    np.testing.assert_allclose(result.scores, scores, atol=1e-4, rtol=1e-5)


def test_by_likelihood_at_least_as_good(peer):
    """transformers counts an end only if it is among its step's best M; our ends compete with all results."""
    model, ours = peer
    rows, scores = generate(model, MANY, 0.0, "never")
    result = ours(MANY)
    assert (result.scores >= scores - 1e-4).all()
    shared = 0
    for query in range(len(TOKENS)):
        _, at, peer_at = np.intersect1d(result.rows[query], rows[query], return_indices=True)
        np.testing.assert_allclose(result.scores[query][at], scores[query][peer_at], atol=1e-4, rtol=0)
        shared += len(at)
    assert shared > 0.5 * rows.size


def test_by_likelihood_equal_where_nothing_is_cut(peer):
    """Fewer docids than beams: no end and no beam is ever dropped."""
    model, ours = peer
    rows, scores = generate(model, FEW, 0.0, "never")
    assert (np.sort(rows)[:, -len(FEW) :] == np.arange(len(FEW))).all()
    assert_same(ours(FEW), rows, scores)


@pytest.mark.parametrize(("length_penalty", "early_stopping"), RULES)
def test_by_length(peer, length_penalty, early_stopping):
    model, ours = peer
    rows, scores = generate(model, MANY, length_penalty, early_stopping)
    result = ours(MANY, length_penalty=length_penalty, early_stopping=early_stopping)
    # With early_stopping=True transformers also counts dead beams as finished, which ends a search too early: left out
    filled = (rows >= 0).all(axis=1)
    assert filled.sum() >= (len(TOKENS) - 1 if early_stopping is True else len(TOKENS))
    assert_same(jax.tree.map(lambda x: x[filled], result), rows[filled], scores[filled])
    assert (result.pruned_bound == np.inf).all()


@pytest.mark.parametrize("early_stopping", ["never", False])  # True: what transformers did not find counts as finished
def test_by_length_fewer_docids_than_beams(peer, early_stopping):
    model, ours = peer
    rows, scores = generate(model, FEW, 1.0, early_stopping)
    assert_same(ours(FEW, length_penalty=1.0, early_stopping=early_stopping), rows, scores)


def test_the_rules_differ_on_these_models_and_docids(peer):
    """The assumptions of the tests above."""
    model, ours = peer
    results = {rule: generate(model, MANY, *rule)[0] for rule in RULES}
    for rules in ([rule for rule in RULES if rule[0] == 2.0], [rule for rule in RULES if rule[1] is False]):
        assert len({results[rule].tobytes() for rule in rules}) == len(rules)
    lengths = [len(MANY[row]) for rows in results.values() for row in rows.ravel()]
    assert set(lengths) == set(range(1, LENGTH))
    assert (ours(MANY).rows != results[0.0, "never"]).any()
