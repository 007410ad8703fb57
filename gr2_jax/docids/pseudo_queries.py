"""Pseudo-query docids by beam search: from z = e_d + r of a fusion model (paper 4.1), or from a plain query generator.

The docids of a document are a function of the model, the seed and the document's row: neither its neighbours in a batch
nor the number of devices or hosts changes them. Every device searches for its own documents, without communication.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.decoding import beam_search
from gr2_jax.decoding.devices import on_each_device
from gr2_jax.models import EOS_ID, PAD_ID, T5, Fusion, T5Config, empty_cache, sphere_noise


@dataclasses.dataclass(frozen=True, eq=False)
class Writing:
    """Settings of the search for pseudo-queries."""

    beams: int
    """Candidates per document (and latent)."""
    max_length: int
    """In tokens, EOS included."""
    allowed: Bool[np.ndarray, "V"]
    """Tokens that may be generated; EOS must be among them."""
    seed: int = 0
    batch: int = 64
    """Documents per device and step."""


Candidates = Int[np.ndarray, "n C T"]


class Writer:
    """`writer(document_tokens [n, S], rows [n]) -> candidates [n, C, T]`, best first, 0-padded, without EOS."""

    def __init__(self, params: dict, config: T5Config, writing: Writing, read: Callable, step: Callable, latents: int):
        self._batch = writing.batch * jax.local_device_count()
        self._search = _search_program(config, writing, read, step, latents)
        self._params = params

    def __call__(
        self,
        document_tokens: Int[np.ndarray, "n S"],
        rows: Int[np.ndarray, "n"],
        *,
        sample: int = 0,
        radius: float = 0.0,
    ) -> Candidates:
        """A document's row determines its direction of noise; another `sample` gives all documents new directions."""
        found = []
        for start in range(0, len(rows), self._batch):
            places = np.minimum(np.arange(start, start + self._batch), len(rows) - 1)
            written = self._search(
                self._params, document_tokens[places], rows[places], np.int32(sample), np.float32(radius)
            )
            found.append(np.asarray(written)[: len(rows) - start])
        return np.concatenate(found)


def fusion_writer(model: Fusion, params: dict, writing: Writing, *, latents: int = 1, unit: float = 1.0) -> Writer:
    """Writes from z = e_d + r, r of length `radius` times `unit` in a direction uniform on the sphere.

    With several `latents`, a document's candidates come from this many z: first the best of each, then the second.
    """

    def read(params, tokens, rows, sample, radius):
        reps, seen = model.apply({"params": params}, tokens, method="read_documents")
        draw = partial(_noise, seed=writing.seed, sample=sample, count=latents, features=reps.shape[-1])
        latent = (reps[:, None] + radius * unit * jax.vmap(draw)(rows)).reshape(-1, reps.shape[-1])
        seen = jax.tree.map(lambda x: jnp.repeat(x, latents, axis=0), seen)
        return model.apply({"params": params}, latent, seen, method="memory")

    def step(params, last, position, cache, memory):
        return model.apply({"params": params}, last, position, cache, memory, method="step")

    return Writer(params, model.config, writing, read, step, latents)


def query_writer(model: T5, params: dict, writing: Writing) -> Writer:
    """Writes from a plain query generator, which reads all tokens of the document (the paper's -RF); no noise."""

    def read(params, tokens, rows, sample, radius):
        states = model.apply({"params": params["t5"]}, tokens, method="encode")
        return model.apply({"params": params["t5"]}, states, tokens != PAD_ID, method="memory")

    def step(params, last, position, cache, memory):
        states, cache = model.apply({"params": params["t5"]}, last, position, cache, memory, method="decode_step")
        return model.apply({"params": params["t5"]}, states, method="logits"), cache

    return Writer(params, model.config, writing, read, step, latents=1)


def _noise(row: Int[Array, ""], *, seed: int, sample: Int[Array, ""], count: int, features: int) -> Float[Array, "P D"]:
    """Directions on the unit sphere, a function of the seed, the row and the sample alone."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), row), sample)
    return sphere_noise(key, count, features, 1.0)


def _search_program(config: T5Config, writing: Writing, read: Callable, step: Callable, latents: int) -> Callable:
    """One program over this host's devices, in which every device searches for its own documents."""
    banned = jnp.asarray(~writing.allowed)

    def search(params, tokens, rows, sample, radius) -> Int[Array, "B C T"]:
        memory = read(params, tokens, rows, sample, radius)
        batch = len(tokens) * latents
        written, _ = beam_search(
            lambda last, position, cache: step(params, last, position, cache, memory),
            empty_cache(config, batch, 1, writing.max_length),
            batch=batch,
            beams=writing.beams,
            max_length=writing.max_length,
            banned=banned,
        )
        by_rank = written.reshape(len(tokens), latents, writing.beams, -1).swapaxes(1, 2)
        return jnp.where(by_rank == EOS_ID, PAD_ID, by_rank).reshape(len(tokens), latents * writing.beams, -1)

    return on_each_device(search, (False, True, True, False, False))
