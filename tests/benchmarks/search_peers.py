"""Constrained beam search against Hugging Face's, same weights, docids, queries and threads, in turn; needs torch.

python tests/benchmarks/search_peers.py [--shape tiny base] [--batch 1 8 32] [--docids 1000 100000 1000000]

Prints, per cell: queries per second (medians) of `generate(prefix_allowed_tokens_fn=...)` over a Python dict trie, of
`constrained_beam_search`, of our `beam_search` without a trie, stopped after as many steps as the peer took, and of the
logits and their log-sum-exp alone, for as many steps as ours took: what no search over the whole vocabulary is spared;
the medians of the rounds' ratios; and how many decoder steps a batch took. All rank by likelihood over the whole
vocabulary of 32,128 (length_penalty 0) and encode the queries as well.

Docids: `trie_scale.distinct_docids`, a Markov chain over the words of numpy's documentation, 5 + binomial(9, 4/9)
tokens, 5 to 14, 9 in the mean. Queries: 4 to 16 random tokens. Weights: random, as transformers draws them.

The peer runs with `set_float32_matmul_precision("medium")`; its root's children are a ready tensor, its Python objects
are frozen out of garbage collection. Before anything is timed the lists are compared: a document in both must have the
same score, and at every rank ours must be at least as good (the peer counts an end only among the best M of its step).
A turn serves the same queries in every system, after one untimed call unless that takes over a second.
"""

import argparse
import gc
import os
import statistics
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from searches import EOS, SHAPES, constrained_program, draw_queries, free_program, product_program, take_turns
from transformers import T5Config as HFConfig
from transformers import T5ForConditionalGeneration
from transformers.utils import logging
from trie_scale import dict_trie, distinct_docids

from gr2_jax.docids import DocidTrie
from gr2_jax.models import T5Config, load_hf_t5

TOLERANCE = {"cpu": 1e-3, "cuda": 5e-2}  # of a score; on a GPU both multiply in TF32
UNFILLED = -1e8  # below it, Hugging Face's score of a place that nothing took


class Corpus(NamedTuple):
    trie: DocidTrie
    root: dict
    allowed: Callable[[int, torch.Tensor], Any]


def make_corpus(count: int, seed: int) -> Corpus:
    docids = distinct_docids(count, seed)
    root = dict_trie(docids.tolist())
    gc.collect()
    gc.freeze()
    return Corpus(DocidTrie.from_sequences(docids), root, allowed_tokens(root))


def allowed_tokens(root: dict) -> Callable[[int, torch.Tensor], Any]:
    """The peer's `prefix_allowed_tokens_fn`: one walk from the root per beam and step."""
    first = torch.tensor(list(root))

    def allowed(_, sentence):
        node = root
        prefix = sentence.tolist()[1:]
        if not prefix:
            return first
        for token in prefix:
            node = node.get(token) if isinstance(node, dict) else None
        return list(node) if isinstance(node, dict) else [EOS]  # a dead beam, which must be told something

    return allowed


def make_models(config: T5Config, device: str) -> tuple[torch.nn.Module, dict]:
    """Transformers' random T5, and the same weights as ours."""
    torch.manual_seed(0)
    sizes = {name: getattr(config, name) for name in ("vocab_size", "d_model", "d_kv", "d_ff", "num_heads")}
    layers = {"num_layers": config.num_encoder_layers, "num_decoder_layers": config.num_decoder_layers}
    model = T5ForConditionalGeneration(HFConfig(**sizes, **layers, decoder_start_token_id=0)).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        params = jax.device_put(load_hf_t5(folder)[1])
    return model.to(device), params


def generate(model, corpus: Corpus, queries: np.ndarray, beams: int, **options):
    tokens = torch.tensor(queries, dtype=torch.long, device=model.device)
    return model.generate(
        tokens,
        attention_mask=tokens != 0,
        prefix_allowed_tokens_fn=corpus.allowed,
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=corpus.trie.max_depth,
        do_sample=False,
        length_penalty=0.0,
        early_stopping=False,  # without a length penalty it changes no result
        **options,
    )


def peer_lists(model, corpus: Corpus, queries: np.ndarray, beams: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The peer's rows and scores [B, M] (-1 and -inf where it found none), and how many steps it took."""
    out = generate(model, corpus, queries, beams, return_dict_in_generate=True, output_scores=True)
    scores = out.sequences_scores.cpu().numpy()
    rows = [row_of(corpus.root, docid) for docid in out.sequences[:, 1:].tolist()]
    rows = np.where(scores > UNFILLED, rows, -1)
    scores = np.where(scores > UNFILLED, scores, -np.inf)
    return rows.reshape(-1, beams), scores.reshape(-1, beams), len(out.scores)


def row_of(root: dict, docid: list[int]) -> int:
    node = root
    for token in docid:
        node = node.get(token, {})
        if not isinstance(node, dict):
            return node
    return -1


def compare_lists(ours, theirs: tuple[np.ndarray, np.ndarray], tolerance: float) -> str:
    """Says how far the lists agree; raises `AssertionError` where the docstring's rule is broken."""
    rows, scores = np.asarray(ours.rows), np.asarray(ours.scores)
    shared, furthest = 0, 0.0
    for row, score, peer_row, peer_score in zip(rows, scores, *theirs, strict=True):
        both, at, peer_at = np.intersect1d(row[row >= 0], peer_row[peer_row >= 0], return_indices=True)
        shared += len(both)
        furthest = max(furthest, abs(score[at] - peer_score[peer_at]).max(initial=0.0))
        assert (score >= peer_score - tolerance).all(), f"ours {score}, the peer's {peer_score}"
    assert furthest <= tolerance, f"scores of the same document differ by {furthest}"
    found = (theirs[0] >= 0).sum()
    return f"{shared} of {found} of the peer's documents in our lists, scores within {furthest:.1e}"


def compare_cell(models: tuple, corpus: Corpus, batches: list[np.ndarray], config, options) -> tuple[float, float]:
    """Compares the lists of every batch; returns how many decoder steps a batch took, of the peer and of ours."""
    model, params = models
    seen: list[int] = []
    program = constrained_program(config, corpus.trie, options.beams, options.tail, seen=lambda: seen.append(1))
    taken = 0
    for number, queries in enumerate(batches):
        *theirs, steps = peer_lists(model, corpus, queries, options.beams)
        taken += steps
        ours = jax.block_until_ready(program(params, queries, corpus.trie.on_device))
        report = compare_lists(ours, tuple(theirs), TOLERANCE[options.device])
        if number == 0:
            print(f"  first batch: {report}")
    jax.effects_barrier()
    return taken / len(batches), len(seen) / len(batches)


def measure_cell(shape: str, corpus: Corpus, models: tuple, batch: int, options: argparse.Namespace) -> None:
    config, (model, params), arrays = SHAPES[shape], models, corpus.trie.on_device
    calls = max(1, options.queries // batch)
    batches = np.split(draw_queries(calls * batch, options.seed, config.vocab_size), calls)
    cell = f"{shape}, {corpus.trie.num_docids:,} docids, batch {batch}"
    print(f"{cell}, {options.beams} beams, tail {options.tail}", flush=True)
    peer_steps, our_steps = compare_cell(models, corpus, batches, config, options)
    ours = constrained_program(config, corpus.trie, options.beams, options.tail)
    free = free_program(config, options.beams, length=round(peer_steps))
    product = product_program(config, options.beams, length=round(our_steps))
    systems = {
        "peer": lambda queries: generate(model, corpus, queries, options.beams).cpu(),
        "ours": lambda queries: jax.block_until_ready(ours(params, queries, arrays)),
        "free": lambda queries: jax.block_until_ready(free(params, queries)),
        "product": lambda queries: jax.block_until_ready(product(params, queries)),
    }
    speeds = take_turns(systems, batches, options.rounds)
    print(f"  steps a batch: peer {peer_steps:.1f}, ours {our_steps:.1f}, free {round(peer_steps)}")
    medians = ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in speeds.items())
    print(f"  queries/s: {medians}")
    for other in ("peer", "free", "product"):
        ratios = sorted(np.divide(speeds["ours"], speeds[other]))
        print(f"  ours / {other}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--docids", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--beams", type=int, default=20)
    parser.add_argument("--queries", type=int, default=16, help="a turn serves as many (a batch at least)")
    parser.add_argument("--tail", type=int, default=0, help="tokens of a lone docid scored in one step; 0: one by one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", choices=TOLERANCE, default="cpu", help="torch's; JAX has its own default")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # XLA starts its threads later
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("medium")
    logging.disable_progress_bar()
    device = jax.devices()[0].device_kind
    print(
        f"{options.threads} threads, jax {jax.__version__} on {device}, torch {torch.__version__} on {options.device}"
    )
    corpora = {count: make_corpus(count, options.seed) for count in options.docids}
    for shape in options.shape:
        models = make_models(SHAPES[shape], options.device)
        for corpus in corpora.values():
            for batch in options.batch:
                measure_cell(shape, corpus, models, batch, options)


if __name__ == "__main__":
    main()
