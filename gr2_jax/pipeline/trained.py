"""A retrieval model on disk: its shape, its parameters, and searching with it."""

import contextlib
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gr2_jax.config import EvaluationConfig, Experiment, System, ViewsRow
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.errors import UserError
from gr2_jax.evaluation.docid_texts import DocidTexts
from gr2_jax.evaluation.retriever import Retriever
from gr2_jax.evaluation.searcher import SearchOptions
from gr2_jax.evaluation.views import Views
from gr2_jax.models import GR2, T5Config
from gr2_jax.pipeline.docids import docids_fingerprint, load_docids
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.workdir import STAGE_FILE, Workdir, read_json


def retrieval_model(config: T5Config, docid_vocabulary: np.ndarray) -> GR2:
    """The model over the tokens that the docids use; the others can never be written, so no softmax spends on them."""
    return GR2(config, tuple(int(token) for token in docid_vocabulary))


def initial_params(model: GR2, seed: int) -> dict:
    """Random parameters of the model's shapes, in the host's memory: one device may be too small for them."""
    with _on_host():
        return model.init(jax.random.key(seed), np.ones((1, 2), int), np.ones((1, 1, 2), int))["params"]


def _on_host() -> contextlib.AbstractContextManager:
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:  # JAX_PLATFORMS leaves it out
        return contextlib.nullcontext()


def what_lies_there(experiment: Experiment, workdir: Workdir, system: System) -> dict[str, str]:
    """The fingerprints of the run's vocabulary and of the docids that `system` writes."""
    return {
        "vocabulary": load_tokenizer(experiment, workdir).fingerprint,
        "docids": docids_fingerprint(workdir, system.docids),
    }


def about_model(experiment: Experiment, workdir: Workdir, system: System, model: GR2) -> dict[str, Any]:
    """What training leaves beside the checkpoints from its start on: the model's shape and what its tokens mean."""
    return {"t5": dataclasses.asdict(model.config), **what_lies_there(experiment, workdir, system)}


def trained_model(directory: Path, docid_vocabulary: np.ndarray, *, step: int | None = None) -> tuple[GR2, dict]:
    """The model and parameters that training left in `directory`, at `step` or the newest, whatever has become of the
    weights that it started from."""
    model = retrieval_model(T5Config(**read_json(directory / STAGE_FILE)["t5"]), docid_vocabulary)
    return model, restore_params(directory, jax.eval_shape(partial(initial_params, model, 0)), step)[0]


def token_columns(docid_vocabulary: np.ndarray, vocab_size: int) -> np.ndarray:
    """[V]: the column of the model's logits for each token of a docid (0 for the others, which are never asked for)."""
    columns = np.zeros(vocab_size, np.int32)
    columns[docid_vocabulary] = np.arange(len(docid_vocabulary))
    return columns


def search_options(evaluation: EvaluationConfig) -> SearchOptions:
    return SearchOptions(**{field.name: getattr(evaluation, field.name) for field in dataclasses.fields(SearchOptions)})


def load_retriever(
    experiment: Experiment, workdir: Workdir, system: System, train_print: str, *, step: int | None = None
) -> Retriever:
    """Searches with what `gr2_jax.pipeline.retrieval.train_system` left, at `step` or the newest."""
    checkpoints = workdir.checkpoints(f"{system.name}-{train_print}")
    refuse_others(workdir, checkpoints, what_lies_there(experiment, workdir, system))
    trie, _ = load_docids(experiment, workdir, system.docids)
    model, params = trained_model(checkpoints, trie.tokens, step=step)
    return make_retriever(experiment, workdir, system, model, params)


def make_retriever(experiment: Experiment, workdir: Workdir, system: System, model: GR2, params: dict) -> Retriever:
    """Searches the run's documents with these parameters."""
    tokenizer = load_tokenizer(experiment, workdir)
    collection, _ = read_corpus(workdir)
    trie, _ = load_docids(experiment, workdir, system.docids)
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


def load_views(experiment: Experiment, workdir: Workdir, row: ViewsRow, trained: dict[str, str]) -> Views:
    systems = {s.name: s for s in experiment.retrieval.systems}
    return Views(tuple(load_retriever(experiment, workdir, systems[name], trained[name]) for name in row.systems))


def refuse_others(workdir: Workdir, checkpoints: Path, lies_there: dict[str, str]) -> None:
    """A model's tokens mean the words of its vocabulary and the documents of its docids, and no others. Raises
    `UserError` where the fingerprints that lie there now are not those that training noted beside its checkpoints."""
    trained_with = read_json(checkpoints / STAGE_FILE)
    for name, fingerprint in lies_there.items():
        if trained_with.get(name, fingerprint) != fingerprint:
            raise UserError(
                f"{checkpoints} was trained with another {name} fingerprint, {trained_with[name]}, than {workdir.root} "
                f"has now, {fingerprint}: the run's own command brings them together again"
            )
