"""Random models and tries, and plain Python searches over them, as references for the compiled searches."""

import itertools

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from gr2_jax.decoding import TrieArrays

EOS = 1
BATCH = 2
HISTORIES = 31  # the state of a model is its history, hashed to this many values
VOCABULARY = 6
LONGEST = 4  # tokens of a docid, EOS not included
MOST = 10  # docids
NODES = 1 + MOST * (LONGEST + 1)

docid_sets = st.lists(
    st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=LONGEST).map(tuple),
    min_size=1,
    max_size=MOST,
    unique=True,
)


def random_tables(seed, columns=VOCABULARY, spread=2.0, batch=BATCH):
    """Logits [batch, HISTORIES, columns]: the whole model."""
    return np.random.default_rng(seed).normal(scale=spread, size=(batch, HISTORIES, columns)).astype(np.float32)


def next_history(history, token, position):
    return (5 * history + 3 * token + position + 1) % HISTORIES


def make_step(tables):
    """The model as a step; its cache is each beam's history, so a beam with another beam's cache gets wrong logits."""

    def step(tokens, position, cache):
        if tokens.ndim == 3:  # several tokens per beam: one after the other
            logits = []
            for i in range(tokens.shape[2]):
                one, cache = step(tokens[..., i], position + i, cache)
                logits.append(one)
            return jnp.stack(logits, axis=2), cache
        history = next_history(cache["history"][..., 0], tokens, position)
        logits = tables[jnp.arange(tables.shape[0])[:, None], history]
        return logits, {"history": history[..., None]}

    return step


def empty_cache(batch=BATCH, beams=1):
    return {"history": jnp.zeros((batch, beams, 1), jnp.int32)}


def edge_scores(table, tokens, column=None):
    """log P(token | tokens before it) of each token, from one query's table, float64."""
    history, scores = 0, []
    for position, (previous, token) in enumerate(itertools.pairwise((0, *tokens))):
        history = next_history(history, previous, position)
        logits = table[history].astype(np.float64)
        scores.append(logits[token if column is None else column[token]] - np.log(np.exp(logits).sum()))
    return scores


def brute_force(table, docids, column=None):
    """All docids as (score, row), best first."""
    scored = [(sum(edge_scores(table, (*docid, EOS), column)), row) for row, docid in enumerate(docids)]
    return sorted(scored, key=lambda hit: (-hit[0], hit[1]))


def plain_constrained(table, docids, beams, max_length=LONGEST + 1):
    """Beam search over the set of docids, no pruning but the beam itself; (score, row), best first."""
    whole = {(*docid, EOS): row for row, docid in enumerate(docids)}
    live, finished = [(0.0, ())], []
    for length in range(1, max_length + 1):
        prefixes = sorted({path[:length] for path in whole if len(path) >= length})
        grown = [
            (score + edge_scores(table, prefix)[-1], prefix)
            for score, path in live
            for prefix in prefixes
            if prefix[:-1] == path
        ]
        finished += [(score, whole[path]) for score, path in grown if path in whole]
        live = sorted([hit for hit in grown if hit[1] not in whole], key=lambda hit: -hit[0])[:beams]
    return sorted(finished, key=lambda hit: (-hit[0], hit[1]))[:beams]


def plain_by_length(table, docids, beams, length_penalty, early_stopping):
    """Hugging Face's beam search over the set of docids; (score, row), best first."""
    whole = {(*docid, EOS): row for row, docid in enumerate(docids)}
    live, finished = [(0.0, ())], []
    for length in range(1, LONGEST + 2):
        prefixes = sorted({path[:length] for path in whole if len(path) >= length})
        grown = [
            (score + edge_scores(table, prefix)[-1], prefix)
            for score, path in live
            for prefix in prefixes
            if prefix[:-1] == path
        ]
        grown.sort(key=lambda hit: -hit[0])
        finished += [(score / length**length_penalty, whole[path]) for score, path in grown[:beams] if path in whole]
        finished = sorted(finished, key=lambda hit: -hit[0])[:beams]
        live = [hit for hit in grown if hit[1] not in whole][:beams]
        if len(finished) < beams or early_stopping == "never":
            continue
        if early_stopping or not live or live[0][0] / length**length_penalty <= finished[-1][0]:
            break
    return finished


def plain_free(table, beams, max_length, banned, length_penalty, early_stopping="never"):
    """Beam search over all sequences; (score, tokens), best first. "never" never stops: no result may depend on it."""
    live, finished = [(0.0, ())], []
    for length in range(1, max_length + 1):
        grown = [
            (score + edge_scores(table, (*path, token))[-1], (*path, token))
            for score, path in live
            for token in range(table.shape[1])
            if token not in banned
        ]
        grown.sort(key=lambda hit: -hit[0])
        best = [(score / length**length_penalty, path) for score, path in grown[:beams]]
        finished += [(score, path) for score, path in best if path[-1] == EOS or length == max_length]
        finished = sorted(finished, key=lambda hit: -hit[0])[:beams]
        live = [hit for hit in grown if hit[1][-1] != EOS][:beams]
        if len(finished) < beams or early_stopping == "never":
            continue
        if early_stopping or not live or live[0][0] / length**length_penalty <= finished[-1][0]:
            break
    return finished


def trie_arrays(docids, nodes=NODES):
    """The trie built breadth first, one node at a time, padded with nodes that no edge leads to."""
    paths = {(*docid, EOS): row for row, docid in enumerate(docids)}
    level, token, row, first_child, alone = [()], [0], [None], [], []
    while level:
        children = []
        for path in level:
            alone.append(sum(p[: len(path)] == path for p in paths) == 1)
            first_child.append(len(token))
            for child in sorted({p[: len(path) + 1] for p in paths if len(p) > len(path) and p[: len(path)] == path}):
                children.append(child)
                token.append(child[-1])
                row.append(paths.get(child))
        level = children
    return pack_slowly(token, row, first_child, alone, nodes)


def pack_slowly(token, row, first_child, alone, nodes, docids=MOST):
    """`TrieArrays` of `nodes` nodes, padded with nodes that no edge leads to, one block at a time."""
    padding = nodes - len(token)
    first_child = first_child + first_child[-1:] * (nodes // 32 * 32 + 32 - len(first_child))
    base, offset, wide, leaf_bits, leaves_before, alone_bits = [], [], [], [], [], []
    for start in range(0, nodes + 1, 32):
        block, leaves = first_child[start : start + 32], [r is not None for r in row[start : start + 32]]
        if start % 64 == 0:  # a block may be wide without need: here, every other block is
            base.append(-1 - len(wide))
            wide.append(block)
            offset += [77] * 32
        else:
            base.append(block[0])
            offset += [first - block[0] for first in block]
        leaf_bits.append(sum(2**i for i, leaf in enumerate(leaves) if leaf))
        alone_bits.append(sum(2**i for i, one in enumerate(alone[start : start + 32]) if one))
        leaves_before.append(sum(r is not None for r in row[:start]))
    rows = [r for r in row if r is not None]
    return TrieArrays(
        np.array(token + [0] * padding, np.int32),
        np.array(base, np.int32),
        np.array(offset, np.uint8),
        np.array(wide, np.int32),
        np.array(leaf_bits, np.uint32),
        np.array(leaves_before, np.int32),
        np.array(rows + [-1] * (docids - len(rows)), np.int32),
        np.array(alone_bits, np.uint32),
    )
