"""The tensors of a T5 in a Hugging Face file: names, shapes, and their paths in our parameters.

Torch's linear layers store [out, in], ours [in, out]; all other shapes are the same in both.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gr2_jax.errors import UserError
from gr2_jax.models.config import T5Config

SHARED, HEAD = "shared.weight", "lm_head.weight"
# left in T5 1.0's published files by mistake, used by no model
UNUSED = frozenset({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"})

# safetensors' names of the types that float32 holds exactly
DTYPES = {"F32": jnp.dtype("float32"), "F16": jnp.dtype("float16"), "BF16": jnp.dtype("bfloat16")}

_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}
_FEED_FORWARD = {"relu": {"wi": "wi", "wo": "wo"}, "gated-gelu": {"wi_0": "gate", "wi_1": "wi", "wo": "wo"}}


class Tensor(NamedTuple):
    path: tuple[str, ...]  # in our parameters
    shape: tuple[int, ...]  # in their file


def aliases(config: T5Config) -> tuple[str, ...]:
    """The names of the shared embedding; a file stores it under one or more of them."""
    names = (SHARED, "decoder.embed_tokens.weight", "encoder.embed_tokens.weight")
    return (*names, HEAD) if config.tie_word_embeddings else names


def tensors(config: T5Config) -> dict[str, Tensor]:
    """Hugging Face's name -> tensor, without aliases and unused tensors."""
    embedding, norm = (config.vocab_size, config.d_model), (config.d_model,)
    named = {SHARED: Tensor(("embedding", "embedding"), embedding)}
    if not config.tie_word_embeddings:
        named[HEAD] = Tensor(("output_embedding",), embedding)
    for stack, count in (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers)):
        named[f"{stack}.final_layer_norm.weight"] = Tensor((stack, "final_norm", "scale"), norm)
        if count:
            bias = (config.relative_attention_num_buckets, config.num_heads)
            name = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            named[name] = Tensor((stack, "relative_bias", "embedding"), bias)
        for i in range(count):
            for j, (theirs, ours, parts) in enumerate(_sublayers(stack, config)):
                layer, path = f"{stack}.block.{i}.layer.{j}", (stack, f"layer_{i}")
                named[f"{layer}.layer_norm.weight"] = Tensor((*path, f"{ours}_norm", "scale"), norm)
                for name, (part, shape) in parts.items():
                    named[f"{layer}.{theirs}.{name}.weight"] = Tensor((*path, ours, part, "kernel"), shape)
    return named


def _sublayers(stack: str, config: T5Config) -> Iterator[tuple[str, str, dict]]:
    """(their name, our name, their part -> (our part, shape)) in the order of the file."""

    def parts(names: dict[str, str], inner: int) -> dict:
        # o and wo lead back to the model's width
        out, into = (config.d_model, inner), (inner, config.d_model)
        return {theirs: (ours, out if theirs in {"o", "wo"} else into) for theirs, ours in names.items()}

    attention = parts(_ATTENTION, config.num_heads * config.d_kv)
    yield "SelfAttention", "self_attention", attention
    if stack == "decoder":
        yield "EncDecAttention", "cross_attention", attention
    yield "DenseReluDense", "feed_forward", parts(_FEED_FORWARD[config.feed_forward], config.d_ff)


def transposed(path: tuple[str, ...], value: np.ndarray) -> np.ndarray:
    """Converts a value from their layout to ours, or back."""
    return np.ascontiguousarray(value.T) if path[-1] == "kernel" else value


def check_shapes(
    where: Path | str, found: Mapping, expected: Mapping, places: Mapping[str, Path] | None = None
) -> None:
    """Raises `UserError` unless `found` and `expected` have the same names and shapes; `places` maps names to files."""
    for kind, names in (("is missing", expected.keys() - found), ("is not part of this T5", found.keys() - expected)):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(f"{where}: tensor '{min(names)}' {kind}{more}")
    for name, shape in expected.items():
        if found[name] != shape:
            place = (places or {}).get(name, where)
            raise UserError(f"{place}: tensor '{name}' has shape {found[name]}, but the config asks for {shape}")
