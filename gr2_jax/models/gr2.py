"""The retrieval model: a T5 that generates docids, and the projection head that compares queries with them."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from gr2_jax.models.config import T5Config
from gr2_jax.models.heads import ProjectionHead
from gr2_jax.models.logit_statistics import LogitStatistics
from gr2_jax.models.t5 import PAD_ID, T5, Memory, shift_right

DocidReader = Literal["encoder", "decoder", "query"]
"""What reads a docid for f_id (Eq. 6), see `GR2.__call__`."""


class RetrievalOutputs(NamedTuple):
    """`states` are the decoder's, from which the logits come, and which `GR2.docid_logit_statistics` takes instead of
    logits."""

    logits: Float[Array, "B K T C"]
    states: Float[Array, "B K T D"]
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
        self,
        query_tokens: Int[Array, "B S"],
        docid_tokens: Int[Array, "B K T"],
        deterministic: bool = True,
        *,
        docid_reader: DocidReader = "encoder",
    ) -> RetrievalOutputs:
        """Teacher forcing; each docid is decoded against its own query, which is encoded once.

        `docid_reader` is where f_id of Eq. 6 comes from: "encoder", the docid as the encoder's input; "decoder", the
        decoder's states with nothing to attend to; "query", its states where it attends to the query that brought the
        docid. The paper says "decoder hidden states of id" and leaves open what the decoder attends to. The first two
        give a vector that belongs to the docid alone. The third has read the query, so a contrastive loss between f_q
        and f_id can be solved without reading the docid.
        """
        mask = query_tokens != PAD_ID
        states = self.t5.encode(query_tokens, deterministic)
        decoded = self.t5.decode(shift_right(docid_tokens), states, mask, deterministic)
        vectors = (
            self.head(decoded, docid_tokens != PAD_ID)
            if docid_reader == "query"
            else self.docid_vectors(docid_tokens, docid_reader, deterministic)
        )
        return RetrievalOutputs(self.docid_logits(decoded), decoded, self.head(states, mask), vectors)

    def docid_vectors(
        self,
        docid_tokens: Int[Array, "*shape T"],
        docid_reader: Literal["encoder", "decoder"] = "encoder",
        deterministic: bool = True,
    ) -> Float[Array, "*shape F"]:
        """f_id of docids (EOS included, 0-padded) that no query has been read with."""
        *shape, length = docid_tokens.shape
        docids = docid_tokens.reshape(-1, length)
        if docid_reader == "encoder":
            states = self.t5.encode(docids, deterministic)
        else:  # attention to one zero vector adds nothing
            nothing = jnp.zeros((len(docids), 1, self.config.d_model), self.config.dtype)
            states = self.t5.decode(shift_right(docids), nothing, jnp.ones((len(docids), 1), bool), deterministic)
        return self.head(states, docids != PAD_ID).reshape(*shape, -1)

    def query_vectors(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Float[Array, "B F"]:
        """f_q from the encoder's states."""
        return self.head(states, mask)

    def docid_logits(self, states: Float[Array, "... D"]) -> Float[Array, "... C"]:
        return self.t5.logits(states, self._token_ids)

    def docid_logit_statistics(self, states: Float[Array, "B K T D"], targets: Int[Array, "B K T"]) -> LogitStatistics:
        """What a likelihood needs of `docid_logits`; `targets` are columns of them."""
        return self.t5.logit_statistics(states, targets, self._token_ids)

    @property
    def _token_ids(self) -> Int[Array, "C"] | None:
        return None if self.docid_vocabulary is None else jnp.asarray(self.docid_vocabulary)

    def docid_logits_of(
        self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"], docid_tokens: Int[Array, "n T"]
    ) -> Float[Array, "B n T C"]:
        """Teacher-forced logits at each token of n docids, for every query, from the queries' encoder states."""
        docids = jnp.broadcast_to(shift_right(docid_tokens), (len(states), *docid_tokens.shape))
        return self.docid_logits(self.t5.decode(docids, states, mask))

    def docid_logits_of_each(
        self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"], docid_tokens: Int[Array, "B n T"]
    ) -> Float[Array, "B n T C"]:
        """The same, for n docids of each query's own."""
        return self.docid_logits(self.t5.decode(shift_right(docid_tokens), states, mask))

    def encode(self, query_tokens: Int[Array, "B S"]) -> Float[Array, "B S D"]:
        return self.t5.encode(query_tokens)

    def memory(self, query_tokens: Int[Array, "B S"]) -> Memory:
        return self.memory_of(self.t5.encode(query_tokens), query_tokens != PAD_ID)

    def memory_of(self, states: Float[Array, "B S D"], mask: Bool[Array, "B S"]) -> Memory:
        return self.t5.memory(states, mask)

    def step(self, tokens: Int[Array, "B M"] | Int[Array, "B M R"], position, cache, memory: Memory):
        """One beam-search step: (logits [B, M, C], cache), or [B, M, R, C] for R tokens per beam."""
        states, cache = self.t5.decode_step(tokens, position, cache, memory)
        return self.docid_logits(states), cache
