"""The fusion model: its latents, how they enter the decoder, and which parameters get gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.models import Fusion, T5Config, empty_cache, shift_right, sphere_noise

CONFIG = T5Config(vocab_size=20, d_model=8, d_kv=4, d_ff=10, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
DOCUMENTS = jnp.array([[4, 8, 15, 16, 3, 1], [9, 2, 1, 0, 0, 0], [7, 7, 12, 19, 1, 0]])
QUERIES = jnp.array([[8, 15, 1, 0], [2, 9, 11, 1], [12, 1, 0, 0]])


def _run(fusion, *args, method=None):
    return jax.jit(lambda *args: fusion[0].apply({"params": fusion[1]}, *args, method=method))(*args)


@pytest.fixture(scope="module", params=["memory", "start", "inputs"])
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
        _run(fusion, padded, method="encode_documents"), outputs.document_reps, rtol=1e-5, atol=1e-6
    )


def test_two_encoders(fusion, outputs):
    assert np.abs(_run(fusion, QUERIES, method="encode_documents") - outputs.query_reps).max() > 1e-2


def test_generation_sees_the_document_only_through_its_latent(fusion, outputs):
    """The logits depend on the latent and on nothing else; reconstruction decodes the query's latent the same way."""
    inputs = shift_right(QUERIES)
    generated = _run(fusion, inputs, outputs.document_reps, method="decode")
    np.testing.assert_allclose(outputs.generation_logits, generated, rtol=1e-5, atol=1e-6)
    reconstructed = _run(fusion, inputs, outputs.query_reps, method="decode")
    np.testing.assert_allclose(outputs.reconstruction_logits, reconstructed, rtol=1e-5, atol=1e-6)
    swapped = _run(fusion, inputs, outputs.document_reps[::-1], method="decode")
    assert np.abs(swapped - generated).max() > 1e-2


def test_cached_steps_equal_teacher_forcing(fusion, outputs):
    memory = _run(fusion, outputs.document_reps, method="memory")
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
        documents = fusion[0].apply({"params": params}, DOCUMENTS, method="encode_documents")
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
