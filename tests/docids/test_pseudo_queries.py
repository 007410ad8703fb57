import itertools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import virtual_devices

from gr2_jax.docids import Writing, fusion_writer, query_writer
from gr2_jax.models import EOS_ID, PAD_ID, T5, Fusion, T5Config, shift_right

VOCABULARY, BEAMS, LENGTH, SEED = 9, 12, 3, 5
CONFIG = T5Config(
    vocab_size=VOCABULARY, d_model=8, d_kv=4, d_ff=10, num_heads=2, num_encoder_layers=0, num_decoder_layers=1
)
ALLOWED = np.array([False, True, False, True, True, False, True, True, False])
WORDS = [3, 4, 6, 7]
DOCUMENTS = np.array([[4, 8, 5, 6], [3, 2, 0, 0], [7, 7, 6, 0], [4, 8, 5, 6], [6, 0, 0, 0]])
ROWS = np.arange(5)


def writing(batch, seed=SEED, beams=BEAMS):
    return Writing(beams=beams, max_length=LENGTH, allowed=ALLOWED, seed=seed, batch=batch)


def random_weights(model, *inputs):
    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)["params"]
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: rng.normal(size=x.shape, scale=0.7).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def fusion():
    model = Fusion(CONFIG)
    return model, random_weights(model, DOCUMENTS, DOCUMENTS)


@pytest.fixture(scope="module")
def writer(fusion):
    return fusion_writer(*fusion, writing(batch=2))


@pytest.fixture(scope="module")
def candidates(writer):
    return as_lists(writer(DOCUMENTS, ROWS, radius=3.0))


def as_lists(found):
    """[n, C, T] -> for each document its docids as tuples, padding removed; it may only follow a docid's tokens."""
    assert ((found[..., 1:] == PAD_ID) | (found[..., :-1] != PAD_ID)).all()
    return [[tuple(t for t in docid if t) for docid in listed] for listed in found.tolist()]


def direction(row, sample=0, latents=1):
    """A direction for a document that depends on the seed, its row and the sample alone."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(SEED), row), sample)
    normal = jax.random.normal(key, (latents, CONFIG.d_model))
    return np.asarray(normal / jnp.linalg.norm(normal, axis=-1, keepdims=True))


def exhaustive(log_probs, contexts):
    """For each document, docid -> log P(docid, end | context) of everything that can be written, by teacher forcing.

    A docid of LENGTH tokens is cut before its end, so its end costs nothing."""
    docids = [d for length in range(LENGTH + 1) for d in itertools.product(WORDS, repeat=length)]
    targets = np.zeros((len(docids), LENGTH), int)
    for i, docid in enumerate(docids):
        targets[i, : len(docid) + 1] = (*docid, EOS_ID)[:LENGTH]

    @jax.jit
    def score(context):
        logits = log_probs(shift_right(jnp.asarray(targets)), jnp.tile(context, (len(docids), 1)))
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
        return (picked * (targets > 0)).sum(axis=1)

    return [dict(zip(docids, np.asarray(score(c)).tolist(), strict=True)) for c in contexts]


def fusion_scores(fusion, radius, sample=0):
    model, params = fusion
    reps = np.asarray(model.apply({"params": params}, DOCUMENTS, method="read_documents").reps)
    latents = [rep + radius * direction(row, sample)[0] for row, rep in enumerate(reps)]
    return exhaustive(lambda inputs, z: model.apply({"params": params}, inputs, z, method="decode"), latents)


def check_against(found, scores):
    """The search keeps 12 of 4, 16 and 64 prefixes and need not be exact. It must still rank its candidates by
    likelihood and find the best docid of all."""
    values = [scores[docid] for docid in found]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(max(scores.values()), abs=1e-5)
    ranking = sorted(scores.values(), reverse=True)
    assert np.mean([value >= ranking[BEAMS - 1] - 1e-5 for value in values]) > 0.7


def test_the_most_likely_pseudo_queries_of_a_latent_by_exhaustion(fusion, candidates):
    for found, scores in zip(candidates, fusion_scores(fusion, 3.0), strict=True):
        check_against(found, scores)


def test_the_most_likely_queries_of_a_document_by_exhaustion():
    """The plain generator ignores the document's padding."""
    model = T5(CONFIG)
    params = random_weights(model, DOCUMENTS, DOCUMENTS)
    write = query_writer(model, {"t5": params}, writing(batch=3))
    found = as_lists(write(DOCUMENTS, ROWS))

    def log_probs(inputs, documents):
        return model.apply({"params": params}, documents, inputs)

    unpadded = [row[row > 0] for row in DOCUMENTS]
    for listed, document in zip(found, unpadded, strict=True):
        check_against(listed, exhaustive(log_probs, [jnp.asarray(document)])[0])
    assert as_lists(write(DOCUMENTS, ROWS, sample=4, radius=9.0)) == found  # this generator has no noise


def test_each_document_gets_distinct_docids_of_allowed_tokens(candidates):
    assert len(candidates) == len(DOCUMENTS)
    for found in candidates:
        assert len(found) == len(set(found)) == BEAMS
        assert {token for docid in found for token in docid} <= set(WORDS)  # no banned token, no end
        assert max(map(len, found)) <= LENGTH


def test_neither_the_batch_nor_the_neighbours_change_a_docid(fusion, writer, candidates):
    assert as_lists(fusion_writer(*fusion, writing(batch=4))(DOCUMENTS, ROWS, radius=3.0)) == candidates
    few = np.array([3, 1])
    assert as_lists(writer(DOCUMENTS[few], few, radius=3.0)) == [candidates[3], candidates[1]]


def test_noise_has_a_direction_of_its_own_for_every_document(fusion, writer, candidates):
    still = as_lists(writer(DOCUMENTS, ROWS, radius=0.0))
    assert still[0] == still[3]  # documents 0 and 3 read alike
    assert candidates[0] != candidates[3]
    assert all(with_noise != without for with_noise, without in zip(candidates, still, strict=True))
    for found, scores in zip(still, fusion_scores(fusion, 0.0), strict=True):
        assert scores[found[0]] == pytest.approx(max(scores.values()), abs=1e-5)


def test_another_sample_is_another_point_of_the_sphere(fusion, writer, candidates):
    again = as_lists(writer(DOCUMENTS, ROWS, sample=2, radius=3.0))
    assert again != candidates
    for found, scores in zip(again, fusion_scores(fusion, 3.0, sample=2), strict=True):
        check_against(found, scores)


def test_another_seed_gives_other_noise(fusion, candidates):
    other = fusion_writer(*fusion, writing(batch=5, seed=SEED + 1))
    assert as_lists(other(DOCUMENTS, ROWS, radius=3.0)) != candidates


def test_several_latents_take_turns(fusion):
    """The best of each latent come first, then the second of each; every latent has a direction of the document."""
    model, params = fusion
    found = as_lists(fusion_writer(*fusion, writing(batch=2), latents=2)(DOCUMENTS, ROWS, radius=3.0))
    reps = np.asarray(model.apply({"params": params}, DOCUMENTS, method="read_documents").reps)
    assert all(len(listed) == 2 * BEAMS for listed in found)
    for row, listed in enumerate(found[:2]):
        for latent, noise in enumerate(direction(row, latents=2)):
            (scores,) = exhaustive(
                lambda inputs, z: model.apply({"params": params}, inputs, z, method="decode"), [reps[row] + 3.0 * noise]
            )
            values = [scores[docid] for docid in listed[latent::2]]
            assert values == sorted(values, reverse=True)
            assert values[0] == pytest.approx(max(scores.values()), abs=1e-5)


def test_several_latents_of_a_document_whose_tokens_are_seen():
    """With no noise every latent finds what one finds, whichever documents are beside it."""
    model = Fusion(CONFIG, "tokens")
    params = random_weights(model, DOCUMENTS, DOCUMENTS)
    one = fusion_writer(model, params, writing(batch=2))(DOCUMENTS, ROWS)
    two = fusion_writer(model, params, writing(batch=5), latents=2)(DOCUMENTS, ROWS)
    np.testing.assert_array_equal(two, np.repeat(one, 2, axis=1))
    assert (one[0] != one[1]).any()


PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax, test_pseudo_queries as t
model = t.Fusion(t.CONFIG)
params = t.random_weights(model, t.DOCUMENTS, t.DOCUMENTS)
found = t.fusion_writer(model, params, t.writing(batch=1))(t.DOCUMENTS, t.ROWS, radius=3.0)
print(json.dumps([jax.device_count(), found.tolist()]))
"""


def test_four_devices_write_the_same_as_one(candidates):
    done = virtual_devices.run(4, "-c", PROGRAM, os.path.dirname(__file__))
    devices, found = json.loads(done.stdout)
    assert devices == 4
    assert as_lists(np.array(found)) == candidates
