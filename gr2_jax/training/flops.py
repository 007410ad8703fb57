"""Floating-point operations of a training step, by formula: XLA counts the body of a scanned stack once."""

import dataclasses

from gr2_jax.models import T5Config


@dataclasses.dataclass(frozen=True)
class StepShape:
    """What a retrieval step reads: B queries of `query_length` tokens with K docids each; E documents of
    `document_length` tokens and `texts` of `query_length` tokens with one docid each; docids of `docid_length` tokens,
    which the encoder reads too where it makes their vectors (`encoder_reads_docids`); logits over `outputs` tokens."""

    queries: int
    docids: int
    documents: int
    query_length: int
    document_length: int
    docid_length: int
    outputs: int
    texts: int = 0
    encoder_reads_docids: bool = False


def forward_flops(config: T5Config, shape: StepShape) -> float:
    """FLOPs of the matrix products of one forward pass over the batch, padding included."""
    queries = _texts(config, shape.queries, shape.query_length, shape.docids, shape.docid_length, shape.outputs)
    documents = _texts(config, shape.documents, shape.document_length, 1, shape.docid_length, shape.outputs)
    documents += _texts(config, shape.texts, shape.query_length, 1, shape.docid_length, shape.outputs)
    columns = shape.queries * shape.docids
    heads = 2 * (shape.queries + columns) * config.d_model**2
    similarities = 2 * shape.queries * columns * config.d_model
    vectors = 0.0
    if shape.encoder_reads_docids:
        vectors = _encoder(config, columns + shape.documents + shape.texts, shape.docid_length)
    return queries + documents + heads + similarities + vectors


def training_flops(config: T5Config, shape: StepShape) -> float:
    """FLOPs of the forward pass and of the backward pass, which costs twice as much. Rematerialisation is not counted,
    as is usual for model FLOP utilisation."""
    return 3 * forward_flops(config, shape)


def _texts(config: T5Config, texts: int, length: int, docids: int, docid_length: int, outputs: int) -> float:
    width, inner = config.d_model, config.num_heads * config.d_kv
    read, written = texts * length, texts * docids * docid_length
    own = written * _layer(config, docid_length)
    cross = written * (2 * 2 * width * inner + 4 * length * inner) + read * 2 * 2 * width * inner
    decoder = config.num_decoder_layers * (own + cross)
    return _encoder(config, texts, length) + decoder + written * 2 * width * outputs


def _encoder(config: T5Config, texts: int, length: int) -> float:
    return config.num_encoder_layers * texts * length * _layer(config, length)


def _layer(config: T5Config, length: int) -> float:
    """Of self-attention and feed-forward for one token of a text of `length` tokens."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    matrices = 3 if config.feed_forward == "gated-gelu" else 2
    return 2 * 4 * width * inner + 4 * length * inner + 2 * matrices * width * config.d_ff
