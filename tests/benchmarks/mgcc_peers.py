"""MGCC forward and backward against other ways to compute it, in turn, in one run; needs torch.

python tests/benchmarks/mgcc_peers.py [--rounds 10] [--threads 2] [--kept] [--himulcone losses.py]
python tests/benchmarks/mgcc_peers.py --large [--docids-per-query 16]

Prints, per (queries B, docids per query K): each row's median milliseconds; the median of its rounds' ratios to the
first row; what a compiled program plans beyond arguments and results, in units of the [B,N] float32 similarity matrix
(N = B·K; the docids are D/B units); 6·B·N·D flops over the time. D = 768, grades 0..4 for a query's own docids and two
others', cosine, τ = 0.1. "three products" is the floor: the similarities and their gradient's two products. All rows
that compute MGCC must first agree in value and gradients to 1e-4. A timed call follows an untimed one of its row
(unless that takes a second), so that none starts with another's cache or while another's threads spin.

`--himulcone` times the published HiMulConE (class HMLC in losses/losses.py of
github.com/salesforce/hierarchicalContrastiveLearning) on data that it supports: every item is query and docid at once,
labels are the paths of a tree, level l compares one item of each group of level l - 1 and is a mean over the batch, and
its maximum is over such means. The same from `mgcc_from_scores`, one call with one grade per level, must agree in value
and gradients to 1e-4. MGCC itself is the nearest thing, not the same: grade = number of shared levels, all items at
every grade, the item itself excluded, the maximum within each query (bound="grade").

`--large`: `chunked_mgcc_loss` where [B,N] would not fit; what would run for more than two minutes is only compiled.
"""

import argparse
import functools
import os
import runpy
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from gr2_jax.losses import chunked_mgcc_loss, grade_matrix, mgcc_from_scores, mgcc_loss, scaled_similarities
from gr2_jax.memory import keep_freed_memory

SHAPES, LARGE = ((32, 8), (128, 16), (512, 16)), (1024, 4096, 16384)
D, L, TEMPERATURE, OTHERS = 768, 4, 0.1, 2
LEVELS, HIMULCONE_TEMPERATURE = 4, 0.07  # the only temperature at which it does not scale the loss
PENALTIES = {l: 1 / (L - l + 1) ** 2 for l in range(1, L + 1)}
OPTIONS = {"num_grades": L, "temperature": TEMPERATURE}


class Row(NamedTuple):
    """A call that waits for (value, gradients), the bytes its program plans, whether it must agree with the others."""

    call: Callable
    memory: int | None = None
    agrees: bool = True


def random_batch(queries: int, per_query: int) -> tuple[np.ndarray, ...]:
    """(queries [B,D], docids [N,D], docid_rows [N], judged_rows [B,K+2], judged_grades [B,K+2])."""
    rng, docids = np.random.default_rng(0), queries * per_query
    rows = np.arange(docids).reshape(queries, per_query)
    judged = np.concatenate([rows, rng.integers(0, docids, (queries, OTHERS))], axis=1)
    vectors = (rng.standard_normal((n, D), dtype=np.float32) for n in (queries, docids))
    return *vectors, rows.reshape(-1), judged, rng.integers(0, L + 1, judged.shape)


def plain_jax(queries, docids, grades):
    """Eq. 4-9 as one would write them."""
    queries, docids = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (queries, docids))
    losses = -jax.nn.log_softmax(queries @ docids.T / TEMPERATURE, axis=1)
    total, present, higher = 0.0, 0, -jnp.inf
    for l in range(L, 0, -1):
        of_grade = grades == l
        count, final = of_grade.sum(axis=1), jnp.maximum(losses, higher)
        total += PENALTIES[l] * jnp.where(of_grade, final, 0).sum(axis=1) / jnp.maximum(count, 1)
        present += count > 0
        higher = jnp.maximum(higher, jnp.where(of_grade, losses, -jnp.inf).max(axis=1, keepdims=True))
    return jnp.sum(total / jnp.maximum(present, 1)) / jnp.maximum(jnp.sum(present > 0), 1)


def torch_vectorised(queries, docids, grades):
    """The same with torch."""
    queries, docids = (torch.nn.functional.normalize(x) for x in (queries, docids))
    losses = -torch.log_softmax(queries @ docids.T / TEMPERATURE, dim=1)
    total, present, higher = 0.0, 0, torch.full((len(queries), 1), -torch.inf)
    for l in range(L, 0, -1):
        of_grade = grades == l
        count, final = of_grade.sum(dim=1), torch.maximum(losses, higher)
        total = total + PENALTIES[l] * final.masked_fill(~of_grade, 0.0).sum(dim=1) / count.clamp(min=1)
        present = present + (count > 0).int()
        higher = torch.maximum(higher, losses.masked_fill(~of_grade, -torch.inf).amax(dim=1, keepdim=True))
    return (total / present.clamp(min=1)).sum() / (present > 0).sum().clamp(min=1)


def torch_loop(queries, docids, grades, one_product):
    """One query after the other, with its row of one product of all with all, or with a product of its own."""
    queries, docids = (torch.nn.functional.normalize(x) for x in (queries, docids))
    rows = (queries @ docids.T).unbind() if one_product else (docids @ query for query in queries)
    per_query = []
    for row, judged in zip(rows, grades, strict=True):
        losses, terms, higher = -torch.log_softmax(row / TEMPERATURE, dim=0), [], torch.tensor(-torch.inf)
        for l in range(L, 0, -1):
            of_grade = losses[judged == l]
            if len(of_grade):
                terms.append(PENALTIES[l] * torch.maximum(of_grade, higher).mean())
                higher = torch.maximum(higher, of_grade.max())
        if terms:
            per_query.append(sum(terms) / len(terms))
    return sum(per_query) / len(per_query)


def program_row(function, arguments, agrees=True) -> Row:
    arguments = jax.device_put(arguments)
    program = jax.jit(function).lower(*arguments).compile()
    return Row(lambda: jax.block_until_ready(program(*arguments)), program.memory_analysis().temp_size_in_bytes, agrees)


def jax_row(loss, arguments, argnums=(0, 1), agrees=True, **options) -> Row:
    return program_row(jax.value_and_grad(functools.partial(loss, **options), argnums), arguments, agrees)


def torch_row(loss, arrays, *rest) -> Row:
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    return Row(lambda: ((value := loss(*leaves, *rest)).detach(), torch.autograd.grad(value, leaves)))


def mgcc_rows(queries: int, per_query: int) -> dict[str, Row]:
    vectors, judgements = (batch := random_batch(queries, per_query))[:2], batch[2:]
    grades = np.asarray(grade_matrix(*judgements)[0])
    judged, most = torch.tensor(grades), int(np.sum(grades > 0, axis=1).max())
    return {
        "gr2_jax mgcc_loss": jax_row(mgcc_loss, (*vectors, grades), **OPTIONS),
        "gr2_jax mgcc_loss, max_positives": jax_row(mgcc_loss, (*vectors, grades), max_positives=most, **OPTIONS),
        "gr2_jax chunked_mgcc_loss": jax_row(chunked_mgcc_loss, (*vectors, *judgements), **OPTIONS),
        "three products": program_row(lambda q, d: ((s := q @ d.T) @ d, s.T @ q), vectors, agrees=False),
        "plain JAX": jax_row(plain_jax, (*vectors, grades)),
        "torch": torch_row(torch_vectorised, vectors, judged),
        "torch, loop over rows": torch_row(torch_loop, vectors, judged, True),
        "torch, loop over queries": torch_row(torch_loop, vectors, judged, False),
    }


def self_excluded_scores(features):
    scores = scaled_similarities(features, features, temperature=HIMULCONE_TEMPERATURE, similarity="dot")
    return jnp.where(jnp.eye(len(features), dtype=bool), -1e9, scores)


def himulcone_from_ours(features, labels):
    """HMLC's "hmce": Σ_l 2^(1/l) · max of the supervised contrastive losses of the levels up to l."""
    scores, number = self_excluded_scores(features), jnp.arange(len(features))
    kept, total, largest = jnp.ones(len(features), bool), 0.0, -jnp.inf
    for l in range(1, LEVELS + 1):
        same = jnp.all(labels[:, None, :-l] == labels[:, :-l], axis=-1)
        positives = same & (number[:, None] != number) & kept[:, None]
        loss = mgcc_from_scores(scores, positives.astype(jnp.int32), num_grades=1, docid_mask=kept)
        total += 2 ** (1 / l) * (largest := jnp.maximum(largest, loss))
        kept &= jnp.argmax(same & kept, axis=1) == number
    return total / labels.shape[1]


def nearest_mgcc(features, labels):
    shared = jnp.sum(jnp.cumprod(labels[:, None, :-1] == labels[:, :-1], axis=-1), axis=-1)
    penalties = jnp.array([2 ** (1 / (LEVELS - l + 1)) for l in range(1, LEVELS + 1)])
    scores, grades = self_excluded_scores(features), shared - shared * jnp.eye(len(features), dtype=int)
    return mgcc_from_scores(scores, grades, num_grades=LEVELS, penalty=penalties, bound="grade")


def himulcone_rows(file: str, items: int) -> dict[str, Row]:
    published = runpy.run_path(file)["HMLC"](temperature=HIMULCONE_TEMPERATURE, loss_type="hmce")
    labels = 1 + (np.arange(items)[:, None] >> np.arange(LEVELS, -1, -1))  # a binary tree under each first node
    features = np.random.default_rng(0).standard_normal((items, D), dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return {
        "HiMulConE, published": torch_row(lambda x, y: published(x[:, None], y), [features], torch.tensor(labels)),
        "the same with mgcc_from_scores": jax_row(himulcone_from_ours, (features, labels), (0,)),
        "MGCC, nearest to it": jax_row(nearest_mgcc, (features, labels), (0,), agrees=False),
    }


def check_agreement(rows: dict[str, Row]) -> None:
    """Value and gradients; a gradient's error is measured against its largest element."""
    (_, (value, gradients)), *others = [(name, row.call()) for name, row in rows.items() if row.agrees]
    for name, (other, theirs) in others:
        np.testing.assert_allclose(other, value, rtol=1e-4, err_msg=name)
        for a, b in zip(gradients, theirs, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-4 * float(abs(a).max()), err_msg=name)


def report(title: str, rows: dict[str, Row], rounds: int, similarities: int) -> None:
    check_agreement(rows)
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for name, row in list(rows.items()) * rounds:
        if not seconds[name] or seconds[name][-1] < 1:
            row.call()
        started = time.perf_counter()
        row.call()
        seconds[name].append(time.perf_counter() - started)
    first = next(iter(seconds.values()))
    print(f"\n{title}\n  {'':32}{'ms':>10}{'ratio':>9}{'memory':>9}{'GFLOP/s':>9}")
    for name, values in seconds.items():
        median, ratio = statistics.median(values), statistics.median(np.divide(values, first))
        memory = "-" if rows[name].memory is None else f"{rows[name].memory / (4 * similarities):.2f}"
        speed = 6e-9 * similarities * D / median
        print(f"  {name:32}{1000 * median:10.2f}{ratio:9.3f}{memory:>9}{speed:9.1f}", flush=True)


def compare(options: argparse.Namespace) -> None:
    for queries, per_query in SHAPES:
        title, similarities = f"MGCC, B {queries}, K {per_query}", queries**2 * per_query
        report(title, mgcc_rows(queries, per_query), options.rounds, similarities)
    if not options.himulcone:
        print("\nHiMulConE: left out, for want of --himulcone FILE")
    for items in (96, 512, 2048) if options.himulcone else ():  # as many similarities as above
        report(f"HiMulConE, {items} items", himulcone_rows(options.himulcone, items), options.rounds, items**2)


def large(options: argparse.Namespace) -> None:
    print("     B        N   [B,N] GB   inputs + gradients GB   beyond them GB   seconds   ms a query")
    predicted = 0.0
    for queries in LARGE:
        batch = random_batch(queries, options.docids_per_query)
        given, docids = sum(x.nbytes for x in (*batch, *batch[:2])) / 1e9, len(batch[1])
        row = jax_row(chunked_mgcc_loss, batch, **OPTIONS)
        line = f"{queries:6}{docids:9}{4e-9 * queries * docids:11.2f}{given:24.2f}{row.memory / 1e9:17.3f}"
        if predicted < 120:
            started = time.perf_counter()
            row.call()
            predicted = time.perf_counter() - started
            line += f"{predicted:10.2f}{1000 * predicted / queries:13.3f}"
        predicted *= 16  # the next has four times the queries and the docids
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kept", action="store_true", help="keep freed memory, as `gr2 run` does")
    parser.add_argument("--himulcone", help="losses/losses.py of the published code")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--docids-per-query", type=int, default=16)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # XLA starts its threads later
    torch.set_num_threads(options.threads)
    if options.kept:
        keep_freed_memory()
    print(f"{options.threads} threads, jax {jax.__version__}, torch {torch.__version__}")
    (large if options.large else compare)(options)


if __name__ == "__main__":
    main()
