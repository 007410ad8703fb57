"""`gr2 convert`: turns Hugging Face files into a checkpoint of ours, and a checkpoint of ours into such files."""

import os
from pathlib import Path

import jax

from gr2_jax.files import new_directory, refuse_occupied
from gr2_jax.lock import LOCK_FILE, holding
from gr2_jax.models.checkpoint import copy_companions, is_checkpoint, load_t5, save_t5
from gr2_jax.models.config import T5Config
from gr2_jax.models.huggingface.hub import local_directory
from gr2_jax.models.huggingface.record import Record, record_of
from gr2_jax.models.huggingface.writing import write_plain, write_recorded


def convert(source: str | os.PathLike, destination: str | os.PathLike) -> list[str]:
    """Writes the folder `destination`, whole or not at all, and returns what was read and written, a line each.

    A `source` that is a Hugging Face directory or hub name becomes a checkpoint that `load_t5` reads. Such a checkpoint
    becomes Hugging Face's `config.json` and safetensors. A model that came from Hugging Face gets the same files byte
    for byte, with new values where training changed them (rounded where the files are in half precision); any other
    model gets one float32 file. Tokenizer files are copied both ways.

    Raises:
        UserError: `source` is not a readable model, or `destination` exists and is not an empty folder.
    """
    refuse_occupied(Path(destination))
    origin = local_directory(source)
    config, params = load_t5(origin)
    record = record_of(origin)
    read = f"read {source}: {_kind(config, record)}, {_size(params)}"
    new = Path(destination)
    with holding(new, new.with_name(f"{new.name}{LOCK_FILE}")):
        if is_checkpoint(origin):
            with new_directory(new) as folder:
                if record is None or not write_recorded(folder, config, params, record):
                    write_plain(folder, config, params)
                copy_companions(origin, folder)
                written = Record.of(folder)
            return [f"{read}, float32", f"wrote {destination}: {_files(written)}, {' and '.join(written.types())}"]
        save_t5(destination, config, params, origin)
    return [
        f"{read}, {' and '.join(record.types())} in {_files(record)}",
        f"wrote {destination}: a checkpoint of gr2_jax, float32",
    ]


def _kind(config: T5Config, record: Record | None) -> str:
    version = "T5 1.1" if config.feed_forward == "gated-gelu" else "T5 1.0"
    name = "mT5" if record is not None and record.model_type == "mt5" else version
    tied = "tied" if config.tie_word_embeddings else "untied"
    layers = f"{config.num_encoder_layers}+{config.num_decoder_layers} layers of width {config.d_model}"
    return f"{name} ({config.feed_forward}, {tied}), {layers}"


def _size(params: dict) -> str:
    return f"{sum(x.size for x in jax.tree.leaves(params)) / 1e6:,.1f} M parameters"


def _files(record: Record) -> str:
    return next(iter(record.headers)) if record.index is None else f"{len(record.headers)} shards"
