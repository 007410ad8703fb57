"""The fusion model: its latents, how they enter the decoder, and which parameters get gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import T5, Fusion, T5Config, empty_cache, shift_right, sphere_noise

CONFIG = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=10, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
DOCUMENTS = jnp.array([[4, 8, 15, 16, 3, 1], [9, 2, 1, 0, 0, 0], [7, 7, 12, 19, 1, 0]])
QUERIES = jnp.array([[8, 15, 1, 0], [2, 9, 11, 1], [12, 1, 0, 0]])


def _run(fusion, *args, method=None):
    return jax.jit(lambda *args: fusion[0].apply({"params": fusion[1]}, *args, method=method))(*args)


@pytest.fixture(scope="module", params=["memory", "start", "inputs", "tokens"])
def fusion(request, random_params):
    module = Fusion(CONFIG, request.param)
    return module, random_params(module, DOCUMENTS, QUERIES)


@pytest.fixture(scope="module")
def outputs(fusion):
    return _run(fusion, DOCUMENTS, QUERIES)


def test_shapes(outputs):
    assert outputs.generation_logits.shape == outputs.reconstruction_logits.shape == (3, 4, 20)
    assert outputs.document_reps.shape == outputs.query_reps.shape == (3, 8)
    assert all(x.dtype == jnp.float32 for x in outputs)


def test_representations_lie_on_the_sphere(outputs):
    for reps in (outputs.document_reps, outputs.query_reps):
        np.testing.assert_allclose(np.linalg.norm(reps, axis=-1), np.sqrt(8), rtol=1e-5)


def test_padding_does_not_change_a_representation(fusion, outputs):
    padded = jnp.pad(DOCUMENTS, ((0, 0), (0, 2)))
    np.testing.assert_allclose(
        _run(fusion, padded, method="read_documents").reps, outputs.document_reps, rtol=1e-5, atol=1e-6
    )


def test_two_encoders(fusion, outputs):
    assert np.abs(_run(fusion, QUERIES, method="read_documents").reps - outputs.query_reps).max() > 1e-2


def test_generation_sees_the_document_only_through_its_latent(fusion, outputs):
    """The logits depend on the latent and on nothing else; reconstruction decodes the query's latent the same way."""
    inputs = shift_right(QUERIES)
    if fusion[0].latent == "tokens":
        pytest.skip("its decoder sees the tokens, too")
    generated = _run(fusion, inputs, outputs.document_reps, method="decode")
    np.testing.assert_allclose(outputs.generation_logits, generated, rtol=1e-5, atol=1e-6)
    reconstructed = _run(fusion, inputs, outputs.query_reps, method="decode")
    np.testing.assert_allclose(outputs.reconstruction_logits, reconstructed, rtol=1e-5, atol=1e-6)
    swapped = _run(fusion, inputs, outputs.document_reps[::-1], method="decode")
    assert np.abs(swapped - generated).max() > 1e-2


def test_generation_may_also_see_the_tokens(random_params):
    """The memory is z and then the encoder's states, so that a T5 of the same encoder and decoder, whose encoder output
    begins with z, has the same logits. Reconstruction sees z alone."""
    module = Fusion(CONFIG, "tokens")
    params = random_params(module, DOCUMENTS, QUERIES)
    found, inputs = _run((module, params), DOCUMENTS, QUERIES), shift_right(QUERIES)
    parts = {"embedding": params["embedding"], "encoder": params["document_encoder"], "decoder": params["decoder"]}
    t5 = T5(CONFIG).bind({"params": parts})
    states, mask = t5.encode(DOCUMENTS), DOCUMENTS != 0
    seen = jnp.concatenate([found.document_reps[:, None], states], axis=1), jnp.pad(mask, ((0, 0), (1, 0)), mode="edge")
    np.testing.assert_allclose(found.generation_logits, t5.logits(t5.decode(inputs, *seen)), rtol=1e-4, atol=1e-5)
    alone = found.query_reps[:, None], jnp.ones((3, 1), bool)
    np.testing.assert_allclose(found.reconstruction_logits, t5.logits(t5.decode(inputs, *alone)), rtol=1e-4, atol=1e-5)
    longer = _run((module, params), jnp.pad(DOCUMENTS, ((0, 0), (0, 2))), QUERIES)
    np.testing.assert_allclose(found.generation_logits, longer.generation_logits, rtol=1e-5, atol=1e-5)


def test_cached_steps_equal_teacher_forcing(fusion, outputs):
    memory = _run(fusion, *_run(fusion, DOCUMENTS, method="read_documents"), method="memory")
    cache = empty_cache(CONFIG, 3, 2, 5)
    step = jax.jit(lambda *args: fusion[0].apply({"params": fusion[1]}, *args, method="step"))
    for position in range(4):
        tokens = jnp.repeat(shift_right(QUERIES)[:, position, None], 2, axis=1)
        logits, cache = step(tokens, jnp.asarray(position), cache, memory)
        for beam in range(2):
            np.testing.assert_allclose(logits[:, beam], outputs.generation_logits[:, position], rtol=1e-5, atol=1e-5)


def test_relevance_reaches_every_parameter_of_both_encoders(fusion):
    """The ratio of Eq. 1: exp(sim(d,q)) / (exp(sim(d,q)) + the batch's other queries)."""

    def relevance(params):
        documents = fusion[0].apply({"params": params}, DOCUMENTS, method="read_documents").reps
        queries = fusion[0].apply({"params": params}, QUERIES, method="encode_queries")
        return jnp.trace(jax.nn.softmax(documents @ queries.T, axis=-1))

    gradients = jax.jit(jax.grad(relevance))(fusion[1])
    for part in ("document_encoder", "document_pooling", "query_encoder", "query_pooling"):
        for path, gradient in jax.tree_util.tree_leaves_with_path(gradients[part]):
            assert np.abs(gradient).max() > 0, (part, path)


def test_sphere_noise():
    noise = sphere_noise(jax.random.key(3), 500, 8, 1.5)
    assert noise.shape == (500, 8)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=-1), 1.5, rtol=1e-5)
    assert len(np.unique(noise, axis=0)) == 500
    # uniform directions: mean 0 with a standard error of 1.5 / sqrt(8 * 500) = .024 per coordinate
    assert np.abs(noise.mean(axis=0)).max() < 0.1
    np.testing.assert_array_equal(noise, sphere_noise(jax.random.key(3), 500, 8, 1.5))
    assert np.abs(noise - sphere_noise(jax.random.key(4), 500, 8, 1.5)).max() > 0.1
