"""How near search and the training step come to what this CPU can do, measured in the same run.

python tests/benchmarks/cpu_floors.py [--shape tiny base] [--batch 1 8] [--docids 100000] [--rounds 5]

Two rates of the machine, the best of many tries, with as many threads as the process may use: bytes a second that a sum
over 1 GiB reads, and FLOP/s of XLA's float32 product of 4096 x 1024 x 4096.

Search (`constrained_beam_search`, 20 beams, whole vocabulary, as `search_peers.py`): every product of its decoder's
steps is bound by the reading of its weights or by its arithmetic. The floor is the sum, over all products and steps, of
the larger time, and the encoder's arithmetic; caches, softmaxes and the trie are not in it. "products" are the same
products one after the other in one program, compiled by XLA like the search: what a search without all the rest would
take with these kernels. Training (`t5_training_step.py`): FLOPs of its matrix products, by `gr2_jax.training.flops`'
formula without docid vectors, over the FLOP/s.

All take turns, round by round; a ratio is the median over the rounds, with the least and the largest.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from searches import QUERY_LENGTH, SHAPES, constrained_program, draw_queries, random_params
from t5_training_step import jax_step
from trie_scale import distinct_docids

from gr2_jax.docids import DocidTrie
from gr2_jax.models import T5Config
from gr2_jax.training.flops import StepShape, training_flops

Product = tuple[int, int, int]
"""Rows of activations, inputs and outputs of a matrix of weights."""
BEAMS, FLOAT = 20, 4
TRAINING = {"batch": 8, "source": 512, "target": 16}


def step_products(config: T5Config, rows: int) -> list[Product]:
    """The products of a decoder's step with its weights for so many beams, the output's last."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    layer = [(width, inner)] * 3 + [(inner, width), (width, inner), (inner, width)]
    layer += [(width, config.d_ff), (config.d_ff, width)]
    return [(rows, *shape) for shape in [*layer * config.num_decoder_layers, (width, config.vocab_size)]]


def bound(product: Product, reads: float, flops: float) -> float:
    """Seconds of one product: of reading the weights, or of its arithmetic."""
    rows, inputs, outputs = product
    return max(FLOAT * inputs * outputs / reads, 2 * rows * inputs * outputs / flops)


def encoder_flops(config: T5Config, tokens: int) -> float:
    """Of the encoder and of the keys and values that the decoder's layers make of its states."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    layer = 4 * width * inner + 2 * width * config.d_ff
    return 2 * tokens * (config.num_encoder_layers * layer + config.num_decoder_layers * 2 * width * inner)


def products_program(products: list[Product], steps: int, rows: int) -> Callable[[], jax.Array]:
    """All products of a step, `steps` times, each reading what the one before it wrote, with weights of their own."""
    keys = jax.random.split(jax.random.key(0), len(products))
    weights = [jax.random.normal(key, shape[1:]) for key, shape in zip(keys, products, strict=True)]

    def run(weights: list[jax.Array]) -> jax.Array:
        def step(_, states):
            for weight in weights:
                states = (states[:, : weight.shape[0]] @ weight) * 1e-2
                states = jnp.pad(states, [(0, 0), (0, max(0, widest - states.shape[1]))])
            return states[:, :widest]

        return jax.lax.fori_loop(0, steps, step, jnp.ones((rows, widest)))

    widest = max(inputs for _, inputs, _ in products)
    program = jax.jit(run)
    return lambda: jax.block_until_ready(program(weights))


def machine() -> dict[str, Callable[[], float]]:
    """What is measured of the machine -> one try: a rate a second."""
    memory = jnp.ones(1 << 28, jnp.float32)
    left, right = jnp.ones((4096, 1024)), jnp.ones((1024, 4096))
    total, product = jax.jit(jnp.sum), jax.jit(jnp.matmul)
    return {
        "reads": lambda: memory.nbytes / seconds(lambda: jax.block_until_ready(total(memory))),
        "flops": lambda: 2 * 4096 * 1024 * 4096 / seconds(lambda: jax.block_until_ready(product(left, right))),
    }


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measured(systems: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, list[float]], float, float]:
    """Seconds of each system by round, and the machine's best reads and FLOP/s over all rounds."""
    tries = machine()
    rates: dict[str, list[float]] = {name: [] for name in tries}
    times: dict[str, list[float]] = {name: [] for name in systems}
    for call in (*systems.values(), *tries.values()):
        call()  # compiles
    for _ in range(rounds):
        for name, rate in tries.items():
            rates[name] += [rate() for _ in range(3)]
        for name, call in systems.items():
            times[name].append(seconds(call))
    return times, max(rates["reads"]), max(rates["flops"])


def over(name: str, times: list[float], floor: list[float] | float) -> str:
    ratios = np.sort(np.divide(times, floor))
    return f"{name} {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def measure_search(shape: str, batch: int, trie: DocidTrie, options: argparse.Namespace) -> None:
    config, rows, seen = SHAPES[shape], batch * BEAMS, []
    params = random_params(config, options.seed)
    queries = draw_queries(batch, options.seed, config.vocab_size)
    counted = constrained_program(config, trie, BEAMS, 0, seen=lambda: seen.append(1))
    jax.block_until_ready(counted(params, queries, trie.on_device))
    jax.effects_barrier()
    steps, products = len(seen), step_products(config, rows)
    program, arrays = constrained_program(config, trie, BEAMS, 0), trie.on_device
    systems = {
        "search": lambda: jax.block_until_ready(program(params, queries, arrays)),
        "products": products_program(products, steps, rows),
    }
    times, reads, flops = measured(systems, options.rounds)
    bounds = [bound(product, reads, flops) for product in products]
    by_reading = sum(FLOAT * i * o / reads >= 2 * r * i * o / flops for r, i, o in products) / len(products)
    floor = steps * sum(bounds) + encoder_flops(config, batch * QUERY_LENGTH) / flops
    print(f"{shape}, batch {batch}, {trie.num_docids:,} docids: {steps} steps; {rates_in_words(reads, flops)}")
    print(
        f"  floor {1e3 * floor:.1f} ms ({by_reading:.0%} of the products bound by reading), search "
        f"{1e3 * statistics.median(times['search']):.1f} ms"
    )
    print(f"  times the floor: {over('search', times['search'], floor)}, {over('products', times['products'], floor)}")
    print(f"  {over('search / products', times['search'], times['products'])}", flush=True)


def measure_training(shape: str, options: argparse.Namespace) -> None:
    config, rng = SHAPES[shape], np.random.default_rng(options.seed)
    batch, source, target = TRAINING.values()
    step = jax_step(config, *(rng.integers(3, 32000, (batch, length)) for length in (source, target)))
    times, reads, flops = measured({"step": step}, options.rounds)
    read = StepShape(0, 0, batch, 0, source, target, config.vocab_size)
    floor = training_flops(config, read) / flops
    print(f"{shape}, training step of {batch} x {source} x {target}; {rates_in_words(reads, flops)}")
    print(f"  floor {floor:.3f} s; times the floor: {over('step', times['step'], floor)}", flush=True)


def rates_in_words(reads: float, flops: float) -> str:
    return f"{reads / 1e9:.1f} GB/s, {flops / 1e9:.0f} GFLOP/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--docids", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} threads, jax {jax.__version__}")
    trie = DocidTrie.from_sequences(distinct_docids(options.docids, options.seed))
    for shape in options.shape:
        for batch in options.batch:
            measure_search(shape, batch, trie, options)
        if not options.no_training:
            measure_training(shape, options)


if __name__ == "__main__":
    main()
