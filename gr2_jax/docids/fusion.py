"""Pseudo-query docids from a trained fusion model: beam search from z = e_d + r (paper 4.1)."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from gr2_jax.decoding import beam_search
from gr2_jax.docids.assignment import Docid
from gr2_jax.models import EOS_ID, Fusion, empty_cache, sphere_noise


def fusion_candidates(
    model: Fusion,
    params: dict,
    document_tokens: Int[np.ndarray, "N S"],
    *,
    radius: float,
    beams: int,
    max_length: int,
    allowed: Bool[np.ndarray, "V"],
    seed: int,
    batch: int = 64,
) -> Iterator[list[Docid]]:
    """For each document its `beams` most likely pseudo-queries under z = e_d + r, best first, EOS removed.

    r has length `radius` and, for every document, its own direction: a function of the seed and the document's row
    alone, so that neither the batch nor the number of hosts changes a docid. Only tokens `allowed` [V] are written.
    """
    config = model.config
    banned = jnp.asarray(~allowed)

    @jax.jit
    def generate(tokens: Int[Array, "B S"], rows: Int[Array, "B"]) -> Int[Array, "B M T"]:
        reps = model.apply({"params": params}, tokens, method="encode_documents")
        keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(rows)
        noise = jax.vmap(lambda key: sphere_noise(key, 1, reps.shape[-1], radius)[0])(keys)
        memory = model.apply({"params": params}, reps + noise, method="memory")

        def step(last, position, cache):
            return model.apply({"params": params}, last, position, cache, memory, method="step")

        cache = empty_cache(config, batch, 1, max_length)
        return beam_search(step, cache, batch=batch, beams=beams, max_length=max_length, banned=banned)[0]

    for start in range(0, len(document_tokens), batch):
        rows = np.minimum(np.arange(start, start + batch), len(document_tokens) - 1)
        found = np.asarray(generate(document_tokens[rows], rows))
        for beams_of_one in found[: len(document_tokens) - start]:
            yield [tuple(int(t) for t in tokens if t > EOS_ID) for tokens in beams_of_one]
