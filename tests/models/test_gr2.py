"""One pass gives all that Eq. 10 needs, and the steps of beam search score like training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import GR2, T5, T5Config, empty_cache, shift_right
from gr2_jax.models.heads import ProjectionHead

CONFIG = T5Config(
    vocab_size=20, d_model=8, d_kv=4, d_ff=10, num_heads=2, num_encoder_layers=0, num_decoder_layers=1, dropout_rate=0.5
)
VOCABULARY = (0, 1, 4, 9, 13)
QUERIES = jnp.array([[8, 15, 1, 0], [2, 9, 11, 1]])
DOCIDS = jnp.array([[[4, 9, 1], [13, 1, 0]], [[4, 9, 1], [9, 9, 1]]])


@pytest.fixture(scope="module")
def gr2(random_params):
    module = GR2(CONFIG, VOCABULARY)
    return module, {"params": random_params(module, QUERIES, DOCIDS)}


def _forward(gr2, docids, reader="encoder"):
    return jax.jit(partial(gr2[0].apply, docid_reader=reader))(gr2[1], QUERIES, docids)


@pytest.fixture(scope="module")
def outputs(gr2):
    return _forward(gr2, DOCIDS)


def test_is_a_plain_t5_and_one_head(gr2, outputs):
    t5, head = ({"params": gr2[1]["params"][name]} for name in ("t5", "head"))
    logits = jax.jit(T5(CONFIG).apply)(t5, QUERIES, shift_right(DOCIDS))
    np.testing.assert_allclose(outputs.logits, logits[..., jnp.array(VOCABULARY)], rtol=1e-5, atol=1e-5)
    states = T5(CONFIG).apply(t5, QUERIES, method="encode")
    expected = ProjectionHead(8).apply(head, states, QUERIES != 0)
    np.testing.assert_allclose(outputs.query_embeddings, expected, rtol=1e-5, atol=1e-6)
    assert outputs.docid_embeddings.shape == (2, 2, 8)


@pytest.mark.parametrize("reader", ["encoder", "decoder", "query"])
def test_a_docid_s_vector_depends_on_its_query_only_where_it_has_read_it(gr2, reader):
    docids = jnp.stack([DOCIDS[0], DOCIDS[0]])
    vectors = _forward(gr2, docids, reader).docid_embeddings
    apart = np.abs(vectors[0] - vectors[1]).max()
    assert apart > 1e-3 if reader == "query" else apart == 0
    assert np.abs(vectors[0, 0] - vectors[0, 1]).max() > 1e-3  # and on the docid, always
    padded = _forward(gr2, jnp.pad(docids, ((0, 0), (0, 0), (0, 2))), reader).docid_embeddings
    np.testing.assert_allclose(padded, vectors, rtol=1e-5, atol=1e-5)


def test_the_readers_are_the_encoder_and_the_decoder_with_the_one_head(gr2):
    t5, head = ({"params": gr2[1]["params"][name]} for name in ("t5", "head"))
    docids = DOCIDS[0]
    states = T5(CONFIG).apply(t5, docids, method="encode")
    expected = ProjectionHead(8).apply(head, states, docids != 0)
    vectors = gr2[0].apply(gr2[1], docids, method="docid_vectors")
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)
    # attention to nothing adds nothing: what cross-attention learnt does not matter
    decoder = gr2[1]["params"]["t5"]["decoder"]
    without = {
        name: {**layer, "cross_attention": jax.tree.map(jnp.zeros_like, layer["cross_attention"])}
        if "cross_attention" in layer
        else layer
        for name, layer in decoder.items()
    }
    params = {**gr2[1]["params"], "t5": {**gr2[1]["params"]["t5"], "decoder": without}}
    read = partial(gr2[0].apply, method="docid_vectors")
    alone, cut = (read({"params": each}, docids, "decoder") for each in (gr2[1]["params"], params))
    np.testing.assert_allclose(alone, cut, rtol=1e-5, atol=1e-6)


def test_steps_give_the_logits_of_teacher_forcing(gr2, outputs):
    module, variables = gr2
    memory = module.apply(variables, QUERIES, method="memory")
    cache = empty_cache(CONFIG, 2, 2, 3)
    step = jax.jit(lambda *args: module.apply(variables, *args, method="step"))
    for position in range(3):
        logits, cache = step(shift_right(DOCIDS)[:, :, position], jnp.asarray(position), cache, memory)
        np.testing.assert_allclose(logits, outputs.logits[:, :, position], rtol=1e-5, atol=1e-5)


def test_dropout_is_used_only_when_asked(gr2):
    def encode(deterministic, seed=1):
        t5 = {"params": gr2[1]["params"]["t5"]}
        return T5(CONFIG).apply(t5, QUERIES, deterministic, method="encode", rngs={"dropout": jax.random.key(seed)})

    np.testing.assert_array_equal(encode(False), encode(False))
    np.testing.assert_array_equal(encode(True), encode(True, seed=2))
    assert np.abs(encode(False) - encode(False, seed=2)).max() > 1e-2
    assert np.mean(encode(False) == 0) > 0.2
    assert not np.any(encode(True) == 0)
