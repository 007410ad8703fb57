"""The experiment's model section: which model, from which weights, and how it is computed."""

import dataclasses
from typing import Literal

from gr2_jax.errors import SettingError, UserError, check_choices, check_least, check_share, nearest
from gr2_jax.models.attention_forms import AttentionForm
from gr2_jax.models.checkpoint import load_t5_config
from gr2_jax.models.config import PRESETS, T5Config, preset
from gr2_jax.models.t5 import EOS_ID


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A preset of `gr2_jax.models` with its depth, or the T5 of `weights`.

    preset        widths of a model without weights: "scratch" or a T5's name, such as "base"
    num_encoder_layers, num_decoder_layers    depth of a model without weights; 0 encoder layers are the embedding alone
    dropout_rate  in training
    lsa_start     without weights, starting values come from the corpus
    weights       a checkpoint, a Hugging Face directory or hub name, as `gr2_jax.models.load_t5` reads them
    dtype         type of the activations; parameters, softmax, norms and logits are float32
    scan_layers   a stack is one layer in a loop, which compiles faster
    remat         what is kept for a layer's backward pass: "none" (no rematerialisation), everything; "minimal" and
                  "full", less for more time, see `gr2_jax.models.T5Config`
    attention     the form of attention that is taken where it can serve, see `gr2_jax.models.attention_forms`; "auto":
                  in training steps cuDNN's on an NVIDIA GPU and Pallas kernels on a TPU, else "recompute"
    """

    preset: str = "scratch"
    num_encoder_layers: int = 0
    num_decoder_layers: int = 1
    dropout_rate: float = 0.1
    lsa_start: bool = True
    weights: str | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    scan_layers: bool = False
    remat: Literal["none", "minimal", "full"] = "none"
    attention: AttentionForm = "auto"

    def __post_init__(self):
        check_choices(self)
        if self.preset not in PRESETS:
            raise SettingError(self, "preset", f"is '{self.preset}': {nearest(self.preset, PRESETS)}")
        check_least(self, 0, "num_encoder_layers", "num_decoder_layers")
        check_share(self, "dropout_rate")
        if self.dropout_rate == 1:
            raise SettingError(self, "dropout_rate", "is 1, which drops everything: it must be below 1")

    @property
    def starts_from_lsa(self) -> bool:
        return self.lsa_start and self.weights is None

    @property
    def input_end(self) -> int | None:
        """The token that ends every encoder input: EOS for trained weights, which expect it, else none."""
        return None if self.weights is None else EOS_ID

    def t5(self, vocab_size: int) -> T5Config:
        """The model for a vocabulary of this size; raises `UserError` if `weights` have fewer rows than that."""
        if self.weights is None:
            return self.t5_of_preset(vocab_size)
        config = load_t5_config(self.weights)
        if config.vocab_size < vocab_size:
            raise UserError(
                f"the vocabulary has {vocab_size} ids and the model of {self.weights} only {config.vocab_size} rows: "
                "give its own SentencePiece file as vocabulary.model, and fewer vocabulary.extra_ids"
            )
        return dataclasses.replace(config, **self._computing)

    def t5_of_preset(self, vocab_size: int) -> T5Config:
        """The model of the preset and depth, without reading `weights`."""
        depth = {name: getattr(self, name) for name in ("num_encoder_layers", "num_decoder_layers")}
        return preset(self.preset, vocab_size=vocab_size, **depth, **self._computing)

    @property
    def _computing(self) -> dict:
        return {name: getattr(self, name) for name in ("dropout_rate", "dtype", "scan_layers", "remat", "attention")}
