import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.docids import fusion_candidates
from gr2_jax.models import EOS_ID, Fusion, T5Config, shift_right

VOCABULARY, BEAMS, LENGTH, SEED = 9, 12, 3, 5
CONFIG = T5Config(
    vocab_size=VOCABULARY, d_model=8, d_kv=4, d_ff=10, num_heads=2, num_encoder_layers=0, num_decoder_layers=1
)
ALLOWED = np.array([False, True, False, True, True, False, True, True, False])
WORDS = [3, 4, 6, 7]
DOCUMENTS = np.array([[4, 8, 5, 6], [3, 2, 0, 0], [7, 7, 6, 0], [4, 8, 5, 6], [6, 0, 0, 0]])


@pytest.fixture(scope="module")
def fusion():
    model = Fusion(CONFIG)
    shapes = jax.eval_shape(model.init, jax.random.key(0), DOCUMENTS, DOCUMENTS)["params"]
    rng = np.random.default_rng(1)
    return model, jax.tree.map(lambda x: rng.normal(size=x.shape, scale=0.7).astype(np.float32), shapes)


def generate(fusion, radius, *, batch, seed=SEED):
    model, params = fusion
    settings = {"radius": radius, "beams": BEAMS, "max_length": LENGTH, "allowed": ALLOWED, "seed": seed}
    return list(fusion_candidates(model, params, DOCUMENTS, **settings, batch=batch))


@pytest.fixture(scope="module")
def candidates(fusion):
    return generate(fusion, 3.0, batch=2)


def direction(row):
    """A direction for a document that depends on the seed and its row alone."""
    normal = jax.random.normal(jax.random.fold_in(jax.random.key(SEED), row), (1, CONFIG.d_model))[0]
    return np.asarray(normal / jnp.linalg.norm(normal))


def exhaustive(fusion, radius):
    """For each document, docid -> log P(docid, end | e_d + r) of everything that can be written, by teacher forcing.

    A docid of LENGTH tokens is cut before its end, so its end costs nothing."""
    model, params = fusion
    docids = [d for length in range(LENGTH + 1) for d in itertools.product(WORDS, repeat=length)]
    targets = np.zeros((len(docids), LENGTH), int)
    for i, docid in enumerate(docids):
        targets[i, : len(docid) + 1] = (*docid, EOS_ID)[:LENGTH]

    @jax.jit
    def log_probs(latent):
        latents = jnp.tile(latent, (len(docids), 1))
        logits = model.apply({"params": params}, shift_right(jnp.asarray(targets)), latents, method="decode")
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
        return (picked * (targets > 0)).sum(axis=1)

    reps = np.asarray(model.apply({"params": params}, DOCUMENTS, method="encode_documents"))
    latents = [rep + radius * direction(row) for row, rep in enumerate(reps)]
    return [dict(zip(docids, np.asarray(log_probs(latent)).tolist(), strict=True)) for latent in latents]


def test_the_most_likely_pseudo_queries_by_exhaustion(fusion, candidates):
    """With 12 of 4, 16 and 64 prefixes kept the search need not be exact, so it is compared where it must agree: every
    candidate has its place by likelihood, and the best of all is found."""
    for found, scores in zip(candidates, exhaustive(fusion, 3.0), strict=True):
        values = [scores[docid] for docid in found]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(max(scores.values()), abs=1e-5)
        ranking = sorted(scores.values(), reverse=True)
        assert np.mean([value >= ranking[BEAMS - 1] - 1e-5 for value in values]) > 0.7


def test_one_list_a_document_of_distinct_docids_without_what_may_not_be_written(candidates):
    assert len(candidates) == len(DOCUMENTS)
    for found in candidates:
        assert len(found) == len(set(found)) == BEAMS
        assert {token for docid in found for token in docid} <= set(WORDS)  # no banned token, no end, no padding
        assert max(map(len, found)) <= LENGTH


def test_neither_the_batch_nor_another_call_changes_a_docid(fusion, candidates):
    assert generate(fusion, 3.0, batch=4) == candidates


def test_noise_has_a_direction_of_its_own_for_every_document(fusion, candidates):
    still = generate(fusion, 0.0, batch=5)
    assert still[0] == still[3]  # documents 0 and 3 read alike
    assert candidates[0] != candidates[3]
    assert all(with_noise != without for with_noise, without in zip(candidates, still, strict=True))
    for found, scores in zip(still, exhaustive(fusion, 0.0), strict=True):
        assert scores[found[0]] == pytest.approx(max(scores.values()), abs=1e-5)


def test_another_seed_gives_other_noise(fusion, candidates):
    assert generate(fusion, 3.0, batch=5, seed=SEED + 1) != candidates
