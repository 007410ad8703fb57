"""From token states to one vector: the projection head of Eq. 5-7, and the attention pooling of the fusion model."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float


class ProjectionHead(nn.Module):
    """f = mean over real tokens of ReLU(W v_t + b) (Eq. 5-7); one W, b for queries and docids."""

    features: int

    @nn.compact
    def __call__(self, states: Float[Array, "... T D"], mask: Bool[Array, "... T"]) -> Float[Array, "... F"]:
        weights = mask.astype(jnp.float32)[..., None]
        projected = nn.relu(nn.Dense(self.features, param_dtype=jnp.float32, name="projection")(states))
        return (projected * weights).sum(-2) / jnp.maximum(weights.sum(-2), 1.0)


class AttentionPooling(nn.Module):
    """A weighted mean of the real tokens' states; the weights are a softmax over products with a learned direction."""

    @nn.compact
    def __call__(self, states: Float[Array, "B T D"], mask: Bool[Array, "B T"]) -> Float[Array, "B D"]:
        direction = self.param("direction", nn.initializers.zeros, (states.shape[-1],), jnp.float32)
        logits = jnp.where(mask, states.astype(jnp.float32) @ direction, jnp.finfo(jnp.float32).min)
        return jnp.einsum("bt,btd->bd", jax.nn.softmax(logits, axis=-1), states)
