"""A retrieval model on disk: its shape, its parameters, and searching with it."""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import numpy as np

from gr2_jax.config import EvaluationConfig, Experiment, System
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.evaluation.retriever import DocidTexts, Retriever, SearchOptions
from gr2_jax.models import GR2, T5Config
from gr2_jax.pipeline.docids import load_docids
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.workdir import STAGE_FILE, Workdir, read_json


def retrieval_model(config: T5Config, docid_vocabulary: np.ndarray) -> GR2:
    """The model over the tokens that the docids use; the others can never be written, so no softmax spends on them."""
    return GR2(config, tuple(int(token) for token in docid_vocabulary))


def initial_params(model: GR2, seed: int) -> dict:
    """Random parameters of the model's shapes."""
    return model.init(jax.random.key(seed), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]


def trained_model(directory: Path, docid_vocabulary: np.ndarray) -> tuple[GR2, dict]:
    """The model and parameters that training left in `directory`, whatever has become of the weights that it started
    from."""
    model = retrieval_model(T5Config(**read_json(directory / STAGE_FILE)["t5"]), docid_vocabulary)
    return model, restore_params(directory, jax.eval_shape(partial(initial_params, model, 0)))[0]


def token_columns(docid_vocabulary: np.ndarray, vocab_size: int) -> np.ndarray:
    """[V]: the column of the model's logits for each token of a docid (0 for the others, which are never asked for)."""
    columns = np.zeros(vocab_size, np.int32)
    columns[docid_vocabulary] = np.arange(len(docid_vocabulary))
    return columns


def search_options(evaluation: EvaluationConfig) -> SearchOptions:
    return SearchOptions(**{field.name: getattr(evaluation, field.name) for field in dataclasses.fields(SearchOptions)})


def load_retriever(experiment: Experiment, workdir: Workdir, system: System, train_print: str) -> Retriever:
    """Searches with what `gr2_jax.pipeline.retrieval.train_system` left."""
    tokenizer = load_tokenizer(experiment, workdir)
    collection, _ = read_corpus(workdir)
    trie, _ = load_docids(experiment, workdir, system.docids)
    model, params = trained_model(workdir.checkpoints(f"{system.name}-{train_print}"), trie.tokens)
    length, end = experiment.evaluation.query_length, experiment.retrieval.model.input_end
    return Retriever(
        model=model,
        params=params,
        trie=trie,
        columns=token_columns(trie.tokens, tokenizer.size),
        encode=lambda texts: pad_rows(tokenizer.encode_batch(texts), length, eos=end),
        doc_ids=[document.doc_id for document in collection.documents],
        docids=DocidTexts(trie, tokenizer.decode),
        options=search_options(experiment.evaluation),
    )
