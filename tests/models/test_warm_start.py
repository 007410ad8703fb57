"""Models that start from a trained T5: which parameters come from it, and that they compute the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gr2_jax.errors import UserError
from gr2_jax.models import GR2, T5, Fusion, preset, shift_right, start_from_t5

CONFIG = preset("tiny", vocab_size=30, d_model=12, d_kv=3, d_ff=8)
QUERIES = jnp.array([[3, 9, 4, 1, 0], [5, 7, 22, 8, 1]])
DOCIDS = jnp.array([[[6, 2, 9, 1]], [[9, 9, 1, 0]]])


@pytest.fixture(scope="module")
def t5(random_params):
    return random_params(T5(CONFIG), QUERIES, DOCIDS, seed=1)


@pytest.mark.parametrize("scan", [False, True], ids=["unrolled", "scanned"])
def test_gr2_computes_what_the_t5_does_and_keeps_its_head(random_params, t5, scan):
    model = GR2(dataclasses.replace(CONFIG, scan_layers=scan))
    fresh = random_params(model, QUERIES, DOCIDS)
    started = start_from_t5(fresh, model.config, t5)
    found = model.apply({"params": started}, QUERIES, DOCIDS).logits
    expected = T5(CONFIG).apply({"params": t5}, QUERIES, shift_right(DOCIDS))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, started["head"], fresh["head"])


def test_both_encoders_of_fusion_are_the_t5s(random_params, t5):
    model = Fusion(CONFIG)
    fresh = random_params(model, QUERIES, DOCIDS[:, 0])
    started = start_from_t5(fresh, CONFIG, t5)
    assert jax.tree.map(np.shape, started) == jax.tree.map(np.shape, fresh)
    for ours, theirs in (
        ("document_encoder", "encoder"),
        ("query_encoder", "encoder"),
        ("decoder", "decoder"),
        ("embedding", "embedding"),
    ):
        jax.tree.map(np.testing.assert_array_equal, started[ours], t5[theirs])
    for pooling in ("document_pooling", "query_pooling"):
        jax.tree.map(np.testing.assert_array_equal, started[pooling], fresh[pooling])


def test_fusion_refuses_an_untied_t5(random_params, t5):
    with pytest.raises(UserError, match="needs a T5 with tied embeddings"):
        start_from_t5({}, CONFIG, t5 | {"output_embedding": np.ones((30, 12))})
