"""What the search benchmarks share: model shapes, queries, and the compiled searches."""

import time
from collections.abc import Callable

import jax
import numpy as np

from gr2_jax.decoding import SearchResult, beam_search, constrained_beam_search
from gr2_jax.docids import DocidTrie
from gr2_jax.models import T5, T5Config, empty_cache, preset

SHAPES = {
    "tiny": T5Config(d_model=128, d_kv=32, d_ff=512, num_heads=4, num_encoder_layers=2, num_decoder_layers=2),
    "base": preset("base"),
}
QUERY_LENGTH, SHORTEST_QUERY, EOS = 16, 4, 1


def draw_queries(count: int, seed: int, vocabulary: int) -> np.ndarray:
    """Returns `count` queries [count, QUERY_LENGTH] of random tokens, 4 to 16 with the end token, padded with 0."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(SHORTEST_QUERY, QUERY_LENGTH + 1, count)[:, None]
    place = np.arange(QUERY_LENGTH)
    tokens = rng.integers(3, vocabulary, (count, QUERY_LENGTH), dtype=np.int32)
    return np.where(place < lengths - 1, tokens, np.where(place == lengths - 1, EOS, 0)).astype(np.int32)


def random_params(config: T5Config, seed: int) -> dict:
    """Freshly initialised weights, on the device."""
    tokens = np.ones((1, 2), np.int32)
    return jax.jit(T5(config).init)(jax.random.key(seed), tokens, tokens)["params"]


def model_step(config: T5Config, params: dict, tokens: jax.Array, seen: Callable[[], None] | None = None) -> Callable:
    """Encodes the queries and returns the decoder as a step; `seen` is called whenever a step runs."""

    def apply(*arguments, method):
        return T5(config).apply({"params": params}, *arguments, method=method)

    memory = apply(apply(tokens, method="encode"), tokens != 0, method="memory")

    def step(last, position, cache):
        if seen is not None:
            jax.debug.callback(seen)
        states, cache = apply(last, position, cache, memory, method="decode_step")
        return apply(states, method="logits"), cache

    return step


def constrained_program(
    config: T5Config, trie: DocidTrie, beams: int, tail: int, seen: Callable[[], None] | None = None
) -> Callable[..., SearchResult]:
    """Compiles, at its first call, (params, query tokens [B, S], trie arrays) -> SearchResult."""
    widths = trie.widths(beams)

    def search(params, tokens, arrays):
        return constrained_beam_search(
            model_step(config, params, tokens, seen),
            empty_cache(config, len(tokens), 1, trie.max_depth + max(tail, 1) - 1),
            arrays,
            batch=len(tokens),
            beams=beams,
            max_length=trie.max_depth,
            widths=widths,
            tail=tail,
        )

    return jax.jit(search)


def free_program(config: T5Config, beams: int, length: int) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The same model and beams without a trie, (params, query tokens) -> (sequences, scores): `length` steps."""

    def search(params, tokens):
        step = model_step(config, params, tokens)
        cache = empty_cache(config, len(tokens), 1, length)
        return beam_search(step, cache, batch=len(tokens), beams=beams, max_length=length)

    return jax.jit(search)


def product_program(config: T5Config, beams: int, length: int) -> Callable[..., jax.Array]:
    """What no search with a softmax over the whole vocabulary is spared, (params, query tokens) -> [B, M, D]: `length`
    times the logits of B x M states and their log-sum-exp, by the model's own code."""

    def search(params, tokens):
        def step(_, states):
            logits = T5(config).apply({"params": params}, states, method="logits")
            return states + 1e-6 * jax.nn.logsumexp(logits, axis=-1, keepdims=True)

        states = jax.random.normal(jax.random.key(0), (len(tokens), beams, config.d_model))
        return jax.lax.fori_loop(0, length, step, states)

    return jax.jit(search)


def take_turns(systems: dict[str, Callable], batches: list[np.ndarray], rounds: int) -> dict[str, list[float]]:
    """Queries per second of every system's turns; the systems take turns, `rounds` times.

    A turn is one call for each batch, after an untimed one unless that takes over a second.
    """
    speeds: dict[str, list[float]] = {name: [] for name in systems}
    for call in systems.values():
        call(batches[0])  # compiles
    for _ in range(rounds):
        for name, call in systems.items():
            if not speeds[name] or speeds[name][-1] > len(batches[0]):
                call(batches[0])
            started = time.perf_counter()
            for queries in batches:
                call(queries)
            speeds[name].append(len(batches) * len(batches[0]) / (time.perf_counter() - started))
    return speeds
