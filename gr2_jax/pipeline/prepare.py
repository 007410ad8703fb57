"""Stage 1: the collection with its split, a vocabulary, and the training examples as seqio tasks and arrays."""

import dataclasses
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from gr2_jax.corpus import (
    Checks,
    CollectionStream,
    Document,
    DocumentStore,
    fold_split,
    grade_places,
    halves,
    lend_sentences,
    open_collection,
    sample_queries,
    source_fingerprint,
    split_queries,
    subset,
    surrounded,
    write_qrels,
    write_store,
    write_without_documents,
)
from gr2_jax.corpus.export import counted
from gr2_jax.data.lsa import token_semantics
from gr2_jax.data.seqio.tasks import Example, write_examples
from gr2_jax.data.vocabulary import MODEL_NAME, VocabularyConfig, pad_rows, train_vocabulary
from gr2_jax.errors import UserError
from gr2_jax.experiment import CorpusConfig, Experiment, ModelConfig
from gr2_jax.files import write_json
from gr2_jax.hosts import is_first, process_count, process_index
from gr2_jax.models import preset
from gr2_jax.pipeline.large import is_large, spread
from gr2_jax.pipeline.lsa_vectors import write_semantics, write_vectors
from gr2_jax.pipeline.pieces import hosts_share, remove_pieces
from gr2_jax.pipeline.run import VECTORS_FILE, Run
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.pipeline.text_pieces import Source, TextPiece, join_pieces, make_pieces, pieces_of
from gr2_jax.pipeline.texts import QUERY_LENGTH, TASKS_ON_DISK, Texts, write_texts
from gr2_jax.pipeline.watching import part
from gr2_jax.progress import progress, say

_BLOCK = 16_000  # characters
_MOST_GRADES = 1000  # a step's time grows with their number


def prepare(run: Run) -> None:
    """Makes corpus/, vocabulary/ and examples/."""
    experiment, paths = run.experiment, run.paths
    corpus = Stage(paths.corpus, fingerprint_of([*decides_corpus(experiment.corpus), run.fold]))
    corpus.build(partial(_build_corpus, experiment.corpus, run.fold))
    sampled = ["sampled"] if is_large(run) else []  # the fingerprints of smaller collections stay as they were
    sources = [corpus.fingerprint, *sampled] if sampled else corpus.fingerprint
    vocabulary = vocabulary_stage(paths.vocabulary, sources, experiment.vocabulary)
    vocabulary.build(lambda out: build_vocabulary(experiment.vocabulary, _vocabulary_texts(run), out))
    augmentation = experiment.augmentation
    decides = [
        vocabulary.fingerprint,
        augmentation.entities,
        augmentation.passages,
        _width(experiment),
        experiment.seed,
        *sampled,
    ]
    examples = Stage(paths.examples, fingerprint_of(decides))
    pieces = paths.pieces / examples.fingerprint
    if _in_pieces(run) and hosts_share(paths.root) and not examples.take_over():
        for task in TASKS_ON_DISK:
            make_pieces(_pieces(run, task, pieces), host=process_index(), hosts=process_count())
    examples.build(partial(_build_examples, run, pieces))
    if is_first():
        remove_pieces(pieces)


def decides_corpus(config: CorpusConfig) -> list[object]:
    """What decides a corpus/ but for the fold: the settings and the contents of the sources."""
    if config.around:
        return [config, source_fingerprint(config.source), source_fingerprint(config.around)]
    settings = {"kind": type(config).__name__} | dataclasses.asdict(config)
    del settings["around"]  # so that the fingerprints of versions before it stay
    return [settings, source_fingerprint(config.source)]


def _build_corpus(config: CorpusConfig, fold: int | None, out: Path) -> None:
    seed = config.split_seed
    say(f"reading {config.described}")
    stream = open_collection(config.source)
    if config.around:
        stream = surrounded(stream, open_collection(config.around))
    if config.documents is not None:
        stream = subset(stream, config.documents, seed=seed)
    stream = counted(stream, "reading")
    if lent := config.known_items is not None:  # a sentence is compared with every document
        stream = lend_sentences(stream.hold(), config.known_items, seed=seed).stream()
    checks = Checks(
        stream,
        empty_documents=config.empty_documents,
        unjudged_queries=config.unjudged_queries,
        unknown=config.unknown,
        needs_queries=not lent,
    )
    documents = write_store(out, checks.documents())
    collection = checks.rest()
    write_without_documents(collection, out)
    places = _checked_places(collection)
    highest = max(places, default=0)
    queries, held_out = collection.queries, config.validation_queries
    if lent:
        split = halves(queries, seed=seed)
    elif fold is None:
        split = split_queries(queries, validation=held_out, test=config.test_queries, seed=seed)
    else:
        split = fold_split(queries, folds=config.folds, fold=fold, validation=held_out, seed=seed)
    if config.training_queries is not None and not lent:
        split = dataclasses.replace(split, train=sample_queries(split.train, config.training_queries, seed=seed))
    write_json(out / "split.json", split)
    for kind, ids in dataclasses.asdict(split).items():
        write_qrels(out / f"{kind}.qrels", {query: collection.qrels[query] for query in ids})
    say(
        f"  {documents:,} documents; queries: {len(split.train):,} training, "
        f"{len(split.validation):,} validation, {len(split.test):,} test"
        f"{', sentences that were taken out of documents' if lent else ''}; grades up to {highest}"
    )
    if len(places) < highest:
        say(f"  training numbers the {len(places)} different grades above 0 from 1 to {len(places)}")


def _checked_places(collection: CollectionStream) -> dict[int, int]:
    """`grade_places` of the judgements; `UserError` for more different grades than training can take."""
    places = grade_places(collection.qrels)
    if len(places) > _MOST_GRADES:
        raise UserError(
            f"the judgements of {collection.name} have {len(places):,} different grades above 0: training takes at "
            f"most {_MOST_GRADES:,}; round them to fewer"
        )
    return places


def models_of(experiment: Experiment) -> dict[str, ModelConfig]:
    """Where a model is configured -> the model: the retrieval model's, and those of schemes that train one."""
    schemes = {f"docids.schemes.{scheme.name}": scheme for scheme in experiment.docids.schemes}
    if (generator := generator_of(experiment)) is not None:
        schemes["augmentation.generator"] = generator
    models = {place: scheme.model for place, scheme in schemes.items() if hasattr(scheme, "model")}
    return {"retrieval": experiment.retrieval.model, **models}


def _width(experiment: Experiment) -> int:
    """The width of the LSA vectors: that of a model which starts from them, else enough for docids."""
    models = models_of(experiment).values()
    return next((preset(model.preset).d_model for model in models if model.starts_from_lsa), 128)


def vocabulary_stage(directory: Path, sources: object, config: VocabularyConfig) -> Stage:
    """The stage of a vocabulary that is learnt from `sources`, by their fingerprints, or read from a file."""
    content = config.content()
    given = None if content is None else hashlib.sha256(content).hexdigest()
    return Stage(directory, fingerprint_of([sources, config, given]))


def build_vocabulary(config: VocabularyConfig, texts: Iterator[str], out: Path) -> None:
    """Learns the vocabulary from the texts, or copies the file that the config names."""
    content = config.content()
    if content is not None:
        (out / MODEL_NAME).write_bytes(content)
        return
    say(f"learning a vocabulary of {config.size:,} pieces")
    train_vocabulary(texts, out / MODEL_NAME, size=config.size)


def _vocabulary_texts(run: Run) -> Iterator[str]:
    """All titles, or every n-th of a large collection; the training queries; and every m-th paragraph. n and m are such
    that about `characters` remain of each. The documents are read and not kept."""
    documents, most = run.corpus.documents, run.experiment.vocabulary.characters
    yield from islice(_titles(documents), 0, None, _step(_titles(documents), most) if is_large(run) else 1)
    yield from run.queries("train").values()
    yield from islice(_paragraphs(documents), 0, None, _step(_paragraphs(documents), most))


def _step(texts: Iterable[str], most: int) -> int:
    """n, such that every n-th of the texts has about so many characters together."""
    return max(1, sum(map(len, texts)) // most)


def _titles(documents: Iterable[Document]) -> Iterator[str]:
    return (document.title for document in documents if document.title)


def _paragraphs(documents: Iterable[Document]) -> Iterator[str]:
    return (block for document in documents for block in _blocks(document.text) if block.strip())


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, of which SentencePiece would leave out those of more than 65,536 bytes: they are cut."""
    for paragraph in text.split("\n\n"):
        yield from (paragraph[start : start + _BLOCK] for start in range(0, len(paragraph), _BLOCK))


def _build_examples(run: Run, pieces: Path, out: Path) -> None:
    say("writing training examples (seqio tasks)")
    for other in set(run.paths.pieces.glob("*")) - {pieces}:  # a killed job's, of other settings
        shutil.rmtree(other, ignore_errors=True)
    for task in TASKS_ON_DISK:
        with part(run.paths.examples / task):
            _write_texts(run, task, pieces, out)
    with part(run.paths.examples / "queries"):
        _write_queries(run, out)
    with part(run.paths.examples / "semantics"):
        _write_semantics(run, out)


def _write_queries(run: Run, out: Path) -> None:
    """As a task, and as arrays with all judged documents: one left out would become a negative. Without training
    queries, the zero-resource setting, the texts of the augmentation serve as queries."""
    if not run.split.train:
        shutil.copyfile(out / "pseudo.tfrecord", out / "queries.tfrecord")
        return
    examples = list(_query_examples(run))
    write_examples(out / "queries.tfrecord", examples)
    texts = pad_rows(run.tokenizer.encode_batch([example.text for example in examples]), QUERY_LENGTH)
    judged = max(len(example.grades) for example in examples)
    rows, grades = np.full((len(examples), judged), -1, np.int32), np.zeros((len(examples), judged), np.int32)
    for i, example in enumerate(examples):
        rows[i, : len(example.docid_rows)], grades[i, : len(example.grades)] = example.docid_rows, example.grades
    np.savez(out / "queries.npz", tokens=texts, docid_rows=rows, grades=grades)


def _write_texts(run: Run, task: str, pieces: Path, out: Path) -> None:
    """As a task, and as tokens; of a large collection by way of pieces, which outlive the program."""
    if _in_pieces(run):
        made = _pieces(run, task, pieces)
        make_pieces(made)
        join_pieces(made, out, ids=run.tokenizer.size)
        return
    with progress(len(run.doc_ids), f"texts of documents ({task})") as bar:
        write_texts(out, task, _text_examples(run, task), run.tokenizer, bar.advance)


def _in_pieces(run: Run) -> bool:
    return is_large(run) and isinstance(run.corpus.documents, DocumentStore)


def _pieces(run: Run, task: str, directory: Path) -> list[TextPiece]:
    vocabulary, extra_ids = run.paths.vocabulary / MODEL_NAME, run.experiment.vocabulary.extra_ids
    source = Source(directory, run.paths.corpus, vocabulary, extra_ids, _texts(run))
    return pieces_of(source, task, run.doc_ids, run.corpus.entities)


def _texts(run: Run) -> Texts:
    augmentation = run.experiment.augmentation
    return Texts(run.num_grades, run.experiment.seed, augmentation.entities, augmentation.passages)


def _write_semantics(run: Run, out: Path) -> None:
    """Learnt from all documents and queries or, of a large collection, from an evenly spaced sample of both."""
    examples, sampled = run.examples_in(out), is_large(run)
    documents, queries = (examples[task].tokens for task in ("documents", "queries"))
    read = [spread(rows) if sampled else rows[:] for rows in (documents, queries)]
    texts = [row[row != 0] for rows in read for row in rows]
    features = _width(run.experiment) - 2
    semantics = token_semantics(texts, run.tokenizer.size, features=features, seed=run.experiment.seed)
    write_semantics(out, semantics)
    if sampled:
        write_vectors(out, len(run.doc_ids), out / VECTORS_FILE)
    else:
        np.save(out / VECTORS_FILE, semantics.document_vectors[: len(run.doc_ids)])


def _query_examples(run: Run) -> Iterator[Example]:
    for query, text in run.queries("train").items():
        judged = sorted(((-g, run.row_of[d]) for d, g in run.corpus.qrels[query].items() if g > 0))
        yield Example(text, [r for _, r in judged], [run.grade_places[-g] for g, _ in judged])


def _text_examples(run: Run, task: str) -> Iterator[Example]:
    texts, collection = _texts(run), run.corpus
    for kind in texts.kinds(task):
        yield from texts.examples(kind, enumerate(collection.documents), collection.entities, run.tokenizer)
