"""Starting values for a small T5 that must learn from scratch in minutes.

Pre-trained weights know which words are related; here the corpus itself shows it, through the truncated SVD of its
tf-idf matrix (latent semantic analysis). Only starting VALUES change: the network is the same T5.
- All embedding rows [LSA vector of the token, a constant, log idf] have one length, so that T5's norms preserve them.
- Cross-attention starts as the idf-weighted mean of the query's token vectors: its query reads the constant, its key
  reads log idf (softmax of log idf weighs by idf), its value and output projections are each other's transpose.
- The other residual branches start small, and the decoder's final norm starts at the scale that makes the tied logits
  a multiple of a cosine.
"""

import jax
import numpy as np
from flax import traverse_util

from gr2_jax.errors import UserError
from gr2_jax.models.config import T5Config

# the last two of a row's D entries
_CONSTANT, _LOG_IDF = -2, -1
_SHARE = 0.2  # the constant, and the largest |log idf|, relative to the LSA direction's length of 1


def lsa_start(
    params: dict,
    config: T5Config,
    token_vectors: np.ndarray,
    log_idf: np.ndarray,
    *,
    logit_scale: float = 10.0,
    embedding_rms: float = 0.3,
    branch_scale: float = 0.1,
    content_gain: float = 0.5,
) -> dict:
    """`params` (of `GR2` or `Fusion`) with starting values from `token_vectors` [V, d_model - 2] and `log_idf` [V].

    Only differences of `log_idf` matter. `content_gain` is the size of the query's mean relative to the previous
    token's row (rms 1 against `embedding_rms`); `logit_scale` multiplies the cosine in the first step's logits.
    """
    log_idf = log_idf - log_idf.mean()
    rows = embedding_rows(token_vectors, log_idf, embedding_rms)
    flat = traverse_util.flatten_dict(params)
    for path, value in flat.items():
        names = path[:-1]
        if path[-1] == "embedding" and len(value) == len(rows):
            if value.shape != rows.shape:
                raise UserError(
                    f"LSA vectors of {token_vectors.shape[1]} dimensions do not fit a model of width {value.shape[1]}"
                )
            flat[path] = rows
        elif "cross_attention" in names:
            flat[path] = _idf_mean_attention(names[-1], value.shape, config, log_idf, content_gain)
        elif names[-1] in ("out", "wo"):
            flat[path] = branch_scale * value
        elif names[-2:] == ("decoder", "final_norm"):
            flat[path] = np.full(value.shape, logit_scale / (embedding_rms * config.d_model**0.5))
        elif path[-1] == "direction":
            flat[path] = _one_number(value.shape, (_LOG_IDF,), _idf_per_state(log_idf) / config.d_model**0.5)
    return jax.tree.map(lambda x: np.asarray(x, np.float32), traverse_util.unflatten_dict(flat))


def embedding_rows(token_vectors: np.ndarray, log_idf: np.ndarray, rms: float) -> np.ndarray:
    """[V, D] rows of one length: the LSA direction, then the constant and centred log idf in the same units everywhere.

    The last, least informative LSA dimension is replaced by a mark of tokens without a vector. Padding is such a
    token and starts every docid: if its row held only the constant, the first step would weight a query's tokens by a
    high power of idf.
    """
    telling = token_vectors[:, :-1]
    lengths = np.linalg.norm(telling, axis=1, keepdims=True)
    direction = np.concatenate([telling / np.maximum(lengths, 1e-9), lengths < 1e-9], axis=1)
    tail = np.stack([np.full(len(log_idf), _SHARE), log_idf / _idf_per_state(log_idf)], axis=1)
    direction *= np.sqrt(1 - np.square(tail).sum(axis=1, keepdims=True))
    rows = np.concatenate([direction, tail], axis=1)
    return (rms * rows.shape[1] ** 0.5 * rows).astype(np.float32)


def _idf_per_state(log_idf: np.ndarray) -> float:
    """The log idf that one unit of a row's last entry stands for."""
    return max(float(np.abs(log_idf).max()), 1e-9) / _SHARE


def _idf_mean_attention(kind: str, shape: tuple, config: T5Config, log_idf: np.ndarray, gain: float) -> np.ndarray:
    if kind == "value":
        return np.eye(*shape)
    if kind == "out":
        return gain * np.eye(*shape)
    heads = np.arange(config.num_heads) * config.d_kv
    if kind == "query":
        return _one_number(shape, (_CONSTANT, heads), 1.0)
    # normed states have length sqrt(D), so query . key = D * SHARE * (log idf / unit) * weight
    return _one_number(shape, (_LOG_IDF, heads), _idf_per_state(log_idf) / (config.d_model * _SHARE))


def _one_number(shape: tuple, index: tuple, value: float) -> np.ndarray:
    array = np.zeros(shape)
    array[index] = value
    return array
