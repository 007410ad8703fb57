"""BERT's encoder (Devlin et al., 2019), for reading texts with weights that others trained. Nothing here trains it."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

ACTIVATIONS = {
    "gelu": partial(nn.gelu, approximate=False),
    "gelu_new": nn.gelu,
    "gelu_pytorch_tanh": nn.gelu,
    "relu": nn.relu,
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """A BERT, under the names of its `config.json`. RoBERTa is the same but for `first_position`.

    first_position    the row of the position table that a text's first token has
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    first_position: int = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return self.max_position_embeddings - self.first_position


class Bert(nn.Module):
    """Tokens [B, T] and which of them count -> the states [B, T, D] of the last layer. All tokens are of kind 0."""

    config: BertConfig

    @nn.compact
    def __call__(self, tokens: Int[Array, "B T"], mask: Bool[Array, "B T"]) -> Float[Array, "B T D"]:
        config = self.config
        embed = partial(nn.Embed, features=config.hidden_size)
        positions = config.first_position + jnp.arange(tokens.shape[1])
        states = embed(config.vocab_size, name="words")(tokens)
        states += embed(config.max_position_embeddings, name="positions")(positions)
        states += embed(config.type_vocab_size, name="kinds")(jnp.zeros_like(positions))
        states = nn.LayerNorm(config.layer_norm_eps, name="norm")(states)
        for i in range(config.num_hidden_layers):
            states = BertLayer(config, name=f"layer_{i}")(states, mask)
        return states


class BertLayer(nn.Module):
    """Attention to the tokens that count, then a feed-forward network, each added to what it read and normed."""

    config: BertConfig

    @nn.compact
    def __call__(self, states: Float[Array, "B T D"], mask: Bool[Array, "B T"]) -> Float[Array, "B T D"]:
        config = self.config
        dense, norm = partial(nn.Dense, config.hidden_size), partial(nn.LayerNorm, config.layer_norm_eps)

        def heads(name: str) -> Float[Array, "B T H d"]:
            return dense(name=name)(states).reshape(*states.shape[:2], config.num_attention_heads, -1)

        attended = jax.nn.dot_product_attention(*map(heads, ("query", "key", "value")), mask=mask[:, None, None, :])
        states = norm(name="attention_norm")(states + dense(name="attention_out")(attended.reshape(states.shape)))
        wide = ACTIVATIONS[config.hidden_act](nn.Dense(config.intermediate_size, name="wide")(states))
        return norm(name="norm")(states + dense(name="narrow")(wide))
