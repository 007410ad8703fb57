"""What MGCC costs: training steps with and without it, in turn, in one run, at the quickstart's shapes.

python tests/benchmarks/mgcc_step_cost.py [--rounds 20]
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from gr2_jax.models import GR2, preset
from gr2_jax.objectives.retrieval import RetrievalObjective, retrieval_loss
from gr2_jax.recipes.quickstart import DEFAULT

VOCABULARY, DOCID_VOCABULARY, DOCUMENTS, DOCID_LENGTH, JUDGED = 8448, 1960, 3793, 7, 32


def random_batch(rng: np.random.Generator) -> dict[str, np.ndarray]:
    shape = DEFAULT.retrieval.batch
    judged = rng.integers(0, DOCUMENTS, (shape.queries, JUDGED))
    grades = np.where(np.arange(JUDGED) < rng.integers(1, 6, (shape.queries, 1)), rng.integers(1, 5, judged.shape), 0)
    return {
        "query_tokens": rng.integers(3, VOCABULARY, (shape.queries, shape.length)),
        "docid_rows": judged[:, : shape.docids],
        "grades": grades[:, : shape.docids],
        "judged_rows": judged,
        "judged_grades": grades,
        "indexing_tokens": rng.integers(3, VOCABULARY, (shape.indexing_texts, shape.length)),
        "indexing_rows": rng.integers(0, DOCUMENTS, shape.indexing_texts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    batch = jax.tree.map(jnp.asarray, random_batch(rng))
    table = jnp.asarray(rng.integers(3, 3 + DOCID_VOCABULARY - 2, (DOCUMENTS, DOCID_LENGTH))).at[:, -1].set(1)
    columns = jnp.clip(jnp.arange(VOCABULARY), 0, DOCID_VOCABULARY - 1)
    model = GR2(preset("scratch", vocab_size=VOCABULARY, dropout_rate=0.0), tuple(range(1, DOCID_VOCABULARY + 1)))
    params = model.init(jax.random.key(0), batch["query_tokens"][:1], table[:1, None])["params"]
    times: dict[float, list[float]] = {1.0: [], 0.0: []}
    steps = {}
    for gamma in times:
        loss = functools.partial(
            retrieval_loss,
            model=model,
            objective=RetrievalObjective(gamma=gamma),
            docid_table=table,
            target_columns=columns,
            num_grades=4,
        )
        steps[gamma] = jax.jit(jax.value_and_grad(loss, has_aux=True))
        jax.block_until_ready(steps[gamma](params, batch, jax.random.key(0)))
    for _ in range(rounds):
        for gamma, step in steps.items():
            started = time.perf_counter()
            jax.block_until_ready(step(params, batch, jax.random.key(0)))
            times[gamma].append(1000 * (time.perf_counter() - started))
    ratio = statistics.median(a / b for a, b in zip(times[1.0], times[0.0], strict=True))
    with_it, without = (statistics.median(times[gamma]) for gamma in (1.0, 0.0))
    print(f"forward and backward: {with_it:.1f} ms with MGCC, {without:.1f} ms without; median ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
