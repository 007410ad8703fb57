"""Constrained beam search beside STATIC's published JAX code, on ids of one length, with the same logits, in turn.

python tests/benchmarks/search_static.py --static CHECKOUT [--docids 100000 1000000 10000000] [--beams 70] [--batch 2]

CHECKOUT: github.com/youtube/static-constraint-decoding (its `static_decoding` is imported, `dense_lookup_layers=2`).

Ids: `--length` tokens, each uniform over `--vocabulary`, distinct. The model is a table of logits, a row chosen by
query, position and last token, so that the searches and not a model are timed. Our docids end with an end token, whose
likelihood counts; STATIC's do not. So it runs twice: on the same ids with the end token as their last ("with end", the
same task: every list must have the same scores to 1e-3, rank by rank), and on the ids alone ("without end", one step
less than ours). It considers `--tokens-per-beam` continuations of a beam at the second step, by default as many as
beams, which loses nothing; its own benchmark takes 30, with 70 beams and batch 2.

Prints milliseconds a call (medians), the medians of the rounds' ratios of their time to ours, and the bytes of the
index; ours also gives the documents' rows and scores.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from searches import EOS, take_turns
from trie_scale import hash_rows

from gr2_jax.decoding import constrained_beam_search
from gr2_jax.docids import DocidTrie

FIRST, HISTORIES = 2, 4099  # the first token of ids; rows of the table


class System(NamedTuple):
    call: Callable[[jax.Array], jax.Array]
    nbytes: int


def draw_ids(count: int, options: argparse.Namespace) -> np.ndarray:
    """Returns `count` distinct ids [count, length], int32; two with the same 64-bit hash count as the same."""
    rng = np.random.default_rng(options.seed)
    weights = rng.integers(0, 2**63, options.length, dtype=np.uint64) * 2 + 1
    drawn = rng.integers(FIRST, FIRST + options.vocabulary, (count + count // 100 + 100, options.length), np.uint16)
    _, first = np.unique(hash_rows(drawn, weights), return_index=True)
    if len(first) < count:
        raise SystemExit(f"fewer than {count} distinct ids of {options.length} tokens out of {options.vocabulary}")
    first.sort()
    return drawn[first[:count]].astype(np.int32)


def history(query, position, token):
    return (7919 * token + 104729 * position + 1299709 * query) % HISTORIES


def our_system(ids: np.ndarray, options: argparse.Namespace) -> System:
    trie = DocidTrie.from_sequences(ids)

    @jax.jit
    def search(table, arrays):
        def step(last, position, cache):
            return table[history(jnp.arange(options.batch)[:, None], position, last)], cache

        return constrained_beam_search(
            step,
            (),
            arrays,
            batch=options.batch,
            beams=options.beams,
            max_length=trie.max_depth,
            widths=trie.widths(options.beams),
        )

    return System(lambda table: search(table, trie.on_device), trie.nbytes)


def static_model(tokens, key, *, batch: int):
    """The same model as STATIC calls one; what it passes on as random key is (position, table)."""
    position, table = key
    query = jnp.arange(len(tokens)) // (len(tokens) // batch)
    return table[history(query[:, None], position, tokens)], (position + 1, table)


def static_system(ids: np.ndarray, options: argparse.Namespace) -> System:
    from static_decoding.csr_utils import build_static_index
    from static_decoding.decoding_jax import sparse_transition_jax

    vocabulary = FIRST + options.vocabulary
    index = build_static_index(ids[np.lexsort(ids.T[::-1])], vocabulary, dense_lookup_layers=2)
    edges, pointers, branches, *tables = index
    model, arrays = partial(static_model, batch=options.batch), jax.device_put((edges, pointers, *tables))
    sizes = options.batch, options.beams, options.tokens_per_beam or options.beams
    length = ids.shape[1]

    def search(table):
        key = jnp.int32(0), table
        return sparse_transition_jax(model, key, *sizes, 0, length, vocabulary, branches, *arrays, d_dense=2)

    return System(search, sum(array.nbytes for array in arrays))


def check_scores(found: np.ndarray, ours, table: np.ndarray) -> float:
    """The furthest that the scores of STATIC's ids [B, M, L] are from ours, rank by rank."""
    log_probs = table - np.log(np.exp(table.astype(np.float64)).sum(axis=1, keepdims=True))
    query, scores, last = np.arange(len(found))[:, None], np.zeros(found.shape[:2]), np.zeros(found.shape[:2], int)
    for position in range(found.shape[2]):
        scores += log_probs[history(query, position, last), found[..., position]]
        last = found[..., position]
    furthest = np.abs(np.asarray(ours.scores) - scores).max()
    if furthest > 1e-3:
        raise SystemExit(f"scores of the two searches differ by {furthest}")
    return float(furthest)


def compare(count: int, options: argparse.Namespace) -> None:
    ids = draw_ids(count, options)
    ended = np.pad(ids, [(0, 0), (0, 1)], constant_values=EOS)
    systems = {
        "ours": our_system(ids, options),
        "STATIC with end": static_system(ended, options),
        "STATIC without end": static_system(ids, options),
    }
    spread = np.random.default_rng(options.seed).normal(size=(HISTORIES, FIRST + options.vocabulary))
    table = jax.device_put(spread.astype(np.float32))
    furthest = check_scores(np.asarray(systems["STATIC with end"].call(table)), systems["ours"].call(table), spread)
    print(f"\n{count:,} ids, batch {options.batch}, {options.beams} beams; scores within {furthest:.1e}")
    calls = {name: lambda _, one=one: jax.block_until_ready(one.call(table)) for name, one in systems.items()}
    speeds = take_turns(calls, [np.zeros(1)] * options.calls, options.rounds)
    for name, speed in speeds.items():
        ratio, nbytes = statistics.median(np.divide(speeds["ours"], speed)), systems[name].nbytes
        line = f"  {name:20}{1000 / statistics.median(speed):9.2f} ms, {ratio:5.2f} times ours"
        print(f"{line}, {nbytes / 1e6:9.2f} MB, {nbytes / count:6.1f} bytes an id", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--static", required=True, help="a checkout of its repository")
    parser.add_argument("--docids", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--length", type=int, default=8)
    parser.add_argument("--beams", type=int, default=70)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--tokens-per-beam", type=int)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=10, help="of a turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # XLA starts its threads later
    sys.path.insert(0, options.static)
    print(f"{options.threads} threads, jax {jax.__version__} on {jax.devices()[0].device_kind}")
    for count in options.docids:
        compare(count, options)


if __name__ == "__main__":
    main()
