"""The retrieval model: a T5 that generates docids, and the projection head that compares queries with them."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.heads import ProjectionHead
from gr2_jax.models.t5 import PAD_ID, T5, Memory, shift_right


class RetrievalOutputs(NamedTuple):
    logits: Float[Array, "B K T C"]
    query_embeddings: Float[Array, "B F"]
    docid_embeddings: Float[Array, "B K F"]


class GR2(nn.Module):
    """One pass over a query and its K docids gives everything that Eq. 10 needs.

    `docid_vocabulary` restricts the softmax to the tokens that occur in docids (sorted ids); None is the whole
    vocabulary. It is data, not a parameter, so the weights remain a plain T5's plus the head's W and b.
    """

    config: T5Config
    docid_vocabulary: tuple[int, ...] | None = None

    def setup(self):
        self.t5 = T5(self.config)
        self.head = ProjectionHead(self.config.d_model)

    def __call__(
        self, query_tokens: Int[Array, "B S"], docid_tokens: Int[Array, "B K T"], deterministic: bool = True
    ) -> RetrievalOutputs:
        """Teacher forcing; each docid is decoded against its own query, which is encoded once."""
        mask = query_tokens != PAD_ID
        states = self.t5.encode(query_tokens, deterministic)
        decoded = self.t5.decode(shift_right(docid_tokens), states, mask, deterministic)
        return RetrievalOutputs(
            self.docid_logits(decoded), self.head(states, mask), self.head(decoded, docid_tokens != PAD_ID)
        )

    def docid_logits(self, states: Float[Array, "... D"]) -> Float[Array, "... C"]:
        ids = None if self.docid_vocabulary is None else jnp.asarray(self.docid_vocabulary)
        return self.t5.logits(states, ids)

    def docid_logits_of(
        self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"], docid_tokens: Int[Array, "n T"]
    ) -> Float[Array, "B n T C"]:
        """Teacher-forced logits at each token of n docids, for every query, from the queries' encoder states."""
        docids = jnp.broadcast_to(shift_right(docid_tokens), (len(states), *docid_tokens.shape))
        return self.docid_logits(self.t5.decode(docids, states, mask))

    def encode(self, query_tokens: Int[Array, "B S"]) -> Float[Array, "B S D"]:
        return self.t5.encode(query_tokens)

    def memory(self, query_tokens: Int[Array, "B S"]) -> Memory:
        return self.t5.memory(self.t5.encode(query_tokens), query_tokens != PAD_ID)

    def step(self, tokens: Int[Array, "B M"] | Int[Array, "B M R"], position, cache, memory: Memory):
        """One beam-search step: (logits [B, M, C], cache), or [B, M, R, C] for R tokens per beam."""
        states, cache = self.t5.decode_step(tokens, position, cache, memory)
        return self.docid_logits(states), cache
