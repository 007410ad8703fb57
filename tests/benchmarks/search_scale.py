"""Time per query and memory of constrained search as the corpus and the number of beams grow.

python tests/benchmarks/search_scale.py [--shape tiny base] [--docids 1000 ... 10000000] [--beams 20 100 1000]

Docids are those of `trie_scale.distinct_docids` (5 to 14 tokens), queries 4 to 16 random tokens, weights random; a
query's time includes encoding it. The corpora of one line of beams take turns, so that a change of the machine's speed
falls on all of them. Prints, per corpus: milliseconds a query and a step (medians), the median of the rounds' ratios
to the first corpus, of both; decoder steps a batch; the trie's bytes; and what the compiled program plans beside its
arguments. Steps differ between corpora because a search ends once nothing can change its results.
"""

import argparse
import os
import statistics

import jax
import numpy as np
from searches import SHAPES, constrained_program, draw_queries, random_params, take_turns
from trie_scale import distinct_docids

from gr2_jax.docids import DocidTrie

HEADER = "docids       ms/query  ratio   ms/step  ratio  steps  program MB"


def make_trie(count: int, seed: int) -> DocidTrie:
    trie = DocidTrie.from_sequences(distinct_docids(count, seed))
    per_docid = trie.nbytes / count
    print(f"{count:,} docids: trie of {trie.nbytes / 1e6:.2f} MB, {per_docid:.1f} bytes a docid", flush=True)
    return trie


def measure(shape: str, params: dict, tries: dict[int, DocidTrie], batch: int, beams: int, options) -> None:
    config = SHAPES[shape]
    calls = max(1, options.queries // batch)
    batches = np.split(draw_queries(calls * batch, options.seed, config.vocab_size), calls)
    systems, steps, planned = {}, {}, {}
    for count, trie in tries.items():
        steps[count] = count_steps(config, params, trie, batches, beams, options.tail)
        search = constrained_program(config, trie, beams, options.tail)
        program = search.lower(params, batches[0], trie.on_device).compile()
        planned[count] = program.memory_analysis().temp_size_in_bytes
        systems[count] = lambda queries, program=program, trie=trie: jax.block_until_ready(
            program(params, queries, trie.on_device)
        )
    speeds = take_turns(systems, batches, options.rounds)
    print(f"\n{shape}, {beams} beams, batch {batch}, tail {options.tail}\n{HEADER}")
    first = next(iter(tries))
    for count, speed in speeds.items():
        per_query = 1000 * np.divide(1, speed)
        per_step = per_query * batch / steps[count]
        slower = np.divide(speeds[first], speed)
        ratio, step_ratio = statistics.median(slower), statistics.median(slower * steps[first] / steps[count])
        line = f"{count:<12,} {statistics.median(per_query):8.2f}  {ratio:5.3f}  {statistics.median(per_step):8.2f}"
        print(f"{line}  {step_ratio:5.3f}  {steps[count]:5.1f}  {planned[count] / 1e6:10.1f}", flush=True)


def count_steps(config, params: dict, trie: DocidTrie, batches: list[np.ndarray], beams: int, tail: int) -> float:
    """How often a batch runs the decoder, in the mean."""
    seen: list[int] = []
    program = constrained_program(config, trie, beams, tail, seen=lambda: seen.append(1))
    for queries in batches:
        jax.block_until_ready(program(params, queries, trie.on_device))
    jax.effects_barrier()
    return len(seen) / len(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--docids", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--beams", type=int, nargs="+", default=[20, 100, 1000])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--queries", type=int, default=8, help="a turn serves as many (a batch at least)")
    parser.add_argument("--tail", type=int, default=0, help="tokens of a lone docid scored in one step; 0: one by one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # XLA starts its threads later
    device = jax.devices()[0].device_kind
    print(f"{options.threads} threads, jax {jax.__version__} on {device}")
    tries = {count: make_trie(count, options.seed) for count in options.docids}
    for shape in options.shape:
        params = random_params(SHAPES[shape], options.seed)
        for beams in options.beams:
            for batch in options.batch:
                measure(shape, params, tries, batch, beams, options)


if __name__ == "__main__":
    main()
