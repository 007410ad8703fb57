"""Stage 1: the collection with its split, a vocabulary, and the training examples as seqio tasks and arrays."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gr2_jax.config import Experiment
from gr2_jax.corpus import (
    Collection,
    Split,
    fold_split,
    open_collection,
    pseudo_queries,
    read_collection,
    sample_queries,
    source_fingerprint,
    split_queries,
    subset,
    validate,
    write_collection,
)
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.semantics import token_semantics
from gr2_jax.data.tasks import Example, materialise, register_task, write_examples
from gr2_jax.data.vocabulary import MODEL_NAME, Tokenizer, read_vocabulary, train_vocabulary
from gr2_jax.evaluation.trec import write_qrels
from gr2_jax.models import preset
from gr2_jax.progress import say
from gr2_jax.workdir import Workdir, digest, read_json, run_stage, write_json

TASKS = ("queries", "pseudo", "documents")
_FIELDS = ("tokens", "docid_rows", "grades")  # docids are made later, from the rows
QUERY_LENGTH, _DOCUMENT_LENGTH = 64, 512


def prepare(experiment: Experiment, workdir: Workdir, fold: int | None = None) -> str:
    """Makes corpus/, vocabulary/ and examples/; returns the fingerprint of the three."""
    corpus_print = digest([experiment.corpus, source_fingerprint(experiment.corpus.source), experiment.seed, fold])
    run_stage(workdir.corpus, corpus_print, lambda out: _build_corpus(experiment, fold, out))
    given = experiment.vocabulary.model
    content = None if given is None else hashlib.sha256(read_vocabulary(Path(given))).hexdigest()
    vocabulary_print = digest([corpus_print, experiment.vocabulary, content])
    run_stage(workdir.vocabulary, vocabulary_print, lambda out: _build_vocabulary(experiment, workdir, out))
    examples_print = digest([vocabulary_print, experiment.retrieval.batch.entities, _width(experiment)])
    run_stage(workdir.examples, examples_print, lambda out: _build_examples(experiment, workdir, out))
    return examples_print


def _build_corpus(experiment: Experiment, fold: int | None, out: Path) -> None:
    config = experiment.corpus
    say(f"reading {config.source}")
    stream = open_collection(config.source)
    if config.documents is not None:
        stream = subset(stream, config.documents, seed=experiment.seed)
    collection = validate(
        stream.hold(), empty_documents=config.empty_documents, unjudged_queries=config.unjudged_queries
    )
    if fold is None:
        split = split_queries(
            collection.queries, validation=config.validation_queries, test=config.test_queries, seed=experiment.seed
        )
    else:
        split = fold_split(
            collection.queries,
            folds=config.folds,
            fold=fold,
            validation=config.validation_queries,
            seed=experiment.seed,
        )
    if config.training_queries is not None:
        few = sample_queries(split.train, config.training_queries, seed=experiment.seed)
        split = dataclasses.replace(split, train=few)
    write_collection(collection, out)
    write_json(out / "split.json", split)
    for part, ids in dataclasses.asdict(split).items():
        write_qrels(out / f"{part}.qrels", {query: collection.qrels[query] for query in ids})
    say(
        f"  {len(collection.documents):,} documents; queries: {len(split.train):,} training, "
        f"{len(split.validation):,} validation, {len(split.test):,} test; grades up to {collection.max_grade}"
    )


def _width(experiment: Experiment) -> int:
    """Of the LSA vectors: a model's that starts from them, else enough for docids."""
    models = (experiment.retrieval.model, experiment.fusion.model)
    return next((preset(model.preset).d_model for model in models if model.starts_from_lsa), 128)


def read_corpus(workdir: Workdir) -> tuple[Collection, Split]:
    split = read_json(workdir.corpus / "split.json")
    return read_collection(workdir.corpus), Split(**{part: tuple(ids) for part, ids in split.items()})


def load_tokenizer(experiment: Experiment, workdir: Workdir) -> Tokenizer:
    return Tokenizer(workdir.vocabulary / MODEL_NAME, extra_ids=experiment.vocabulary.extra_ids)


def _build_vocabulary(experiment: Experiment, workdir: Workdir, out: Path) -> None:
    if experiment.vocabulary.model is not None:
        (out / MODEL_NAME).write_bytes(read_vocabulary(Path(experiment.vocabulary.model)))
        return
    collection, split = read_corpus(workdir)
    say(f"learning a vocabulary of {experiment.vocabulary.size:,} pieces")
    texts = list(_vocabulary_texts(collection, split, experiment.vocabulary.characters))
    train_vocabulary(texts, out / MODEL_NAME, size=experiment.vocabulary.size)


def _vocabulary_texts(collection: Collection, split: Split, characters: int) -> Iterator[str]:
    """Every title and training query, and every n-th paragraph, n such that about `characters` remain."""
    yield from (document.title for document in collection.documents if document.title)
    yield from (collection.queries[q] for q in split.train)
    paragraphs = [p for document in collection.documents for p in document.text.split("\n\n") if p.strip()]
    yield from paragraphs[:: max(1, sum(map(len, paragraphs)) // characters)]


def _build_examples(experiment: Experiment, workdir: Workdir, out: Path) -> None:
    collection, split = read_corpus(workdir)
    tokenizer = load_tokenizer(experiment, workdir)
    say("writing training examples (seqio tasks)")
    for task in TASKS:
        write_examples(out / f"{task}.tfrecord", _examples(task, collection, split, experiment))
    judged = max(sum(grade > 0 for grade in collection.qrels[query].values()) for query in split.train)
    arrays = read_tasks(experiment, workdir, out, judged=judged)  # all: one left out would become a negative
    np.savez(out / "examples.npz", **{f"{t}_{f}": getattr(a, f) for t, a in arrays.items() for f in _FIELDS})
    texts = [row[row != 0] for task in ("documents", "queries") for row in arrays[task].tokens]
    semantics = token_semantics(texts, tokenizer.size, features=_width(experiment) - 2, seed=experiment.seed)
    documents = semantics.document_vectors[: len(collection.documents)]
    np.savez(out / "semantics.npz", **(semantics._asdict() | {"document_vectors": documents}))


def read_tasks(experiment: Experiment, workdir: Workdir, directory: Path, *, judged: int) -> dict[str, ExampleArrays]:
    """The seqio tasks over the TFRecord files of `directory`, registered and read into memory; up to `judged` documents
    per query."""
    arrays, prefix = {}, re.sub(r"\W", "_", experiment.name)
    for name in TASKS:
        task = register_task(
            f"{prefix}_{name}",
            directory / f"{name}.tfrecord",
            vocabulary=workdir.vocabulary / MODEL_NAME,
            extra_ids=experiment.vocabulary.extra_ids,
        )
        length = _DOCUMENT_LENGTH if name == "documents" else QUERY_LENGTH
        arrays[name] = materialise(task, length=length, judged=judged if name == "queries" else 1)
    return arrays


def load_examples(workdir: Workdir) -> dict[str, ExampleArrays]:
    """The arrays that `prepare` left: training needs no TensorFlow."""
    with np.load(workdir.examples / "examples.npz") as file:
        return {t: ExampleArrays(*(file[f"{t}_{f}"] for f in _FIELDS)) for t in TASKS}


def _examples(task: str, collection: Collection, split: Split, experiment: Experiment) -> Iterator[Example]:
    row = {document.doc_id: i for i, document in enumerate(collection.documents)}
    best = collection.max_grade
    if task == "queries":
        for query in split.train:
            judged = sorted(((-g, row[d]) for d, g in collection.qrels[query].items() if g > 0))
            yield Example(collection.queries[query], [r for _, r in judged], [-g for g, _ in judged])
        return
    for i, document in enumerate(collection.documents):
        if task == "documents":
            yield Example(document.contents, [i], [best])
            continue
        entities = collection.entities.get(document.doc_id, ())
        for text in pseudo_queries(
            document, entities=entities, seed=experiment.seed, max_entities=experiment.retrieval.batch.entities
        ):
            yield Example(text, [i], [best])
