"""A run: one experiment in one directory, with everything that its stages left there, each read at most once."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from gr2_jax.array_files import load_all_arrays, load_arrays, map_array
from gr2_jax.buckets import local_copy, push
from gr2_jax.corpus import (
    Collection,
    Document,
    DocumentsById,
    DocumentStore,
    Qrels,
    Split,
    grade_places,
    read_qrels,
    read_stored,
)
from gr2_jax.data.arrays import ExampleArrays
from gr2_jax.data.lsa import TokenSemantics
from gr2_jax.data.order import EndToEnd, Examples
from gr2_jax.data.token_files import FILES, TokenRows, read_token_files
from gr2_jax.data.vocabulary import MODEL_NAME, Tokenizer
from gr2_jax.docids import DocidTrie
from gr2_jax.errors import UserError, nearest
from gr2_jax.experiment import Experiment, Row, Scheme
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import read_json, reading, write_json
from gr2_jax.hosts import is_first, of_first
from gr2_jax.pipeline.lsa_vectors import SEMANTICS
from gr2_jax.pipeline.stage import Stage, current_fingerprint, reading_stage
from gr2_jax.pipeline.texts import QUERY_LENGTH, TASKS_ON_DISK
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.training.checkpoints import checkpoint_steps

PARTS = ("validation", "test")
_OLD_EXAMPLES, _OLD_GENERATED = "examples.npz", "queries.npz"
EXAMPLE_FIELDS = ("tokens", "docid_rows", "grades")  # docids are made later, from the rows
GENERATED = "generated"
VECTORS_FILE = "document_vectors.npy"


class Run:
    """What a run is: `experiment`, its paths, and what its stages left, as cached properties.

    A property is there once its stage is done: `gr2_jax.pipeline.stages.run_stages` does them in order, and
    `gr2_jax.pipeline.open_run` opens what such a run left.

    fold         which of the experiment's folds this is; None for a run over one split
    trainings    row -> the fingerprint of its training, begun or finished
    """

    def __init__(
        self, experiment: Experiment, directory: Path, *, fold: int | None = None, trainings: dict | None = None
    ):
        self.experiment, self.paths, self.fold = experiment, Workdir(local_copy(directory, workdir=True)), fold
        self.trainings: dict[str, str] = dict(trainings or {})
        self._docids: dict[str, Docids] = {}
        self._newest: dict[str, int] = {}

    # what was asked for

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.experiment.rows

    def row(self, name: str | None = None) -> Row:
        """A row of the table, by default the first; `UserError` names the nearest."""
        if not self.rows:
            raise UserError(f"{self.paths.root} has no rows: its config names none")
        return _called(name, self.rows, f"{self.paths.root} has no row") if name is not None else self.rows[0]

    def scheme(self, name: str) -> Scheme:
        """A docid scheme of the experiment; `UserError` names the nearest."""
        return _called(name, self.experiment.docids.schemes, "docids.schemes has no scheme")

    # the collection

    @cached_property
    def corpus(self) -> Collection:
        with reading_stage(self.paths.corpus, "") as corpus:
            return read_stored(corpus)

    @cached_property
    def split(self) -> Split:
        queries = self.corpus.queries.keys()
        with reading_stage(self.paths.corpus, "split.json") as path:
            split = Split(**{part: tuple(ids) for part, ids in read_json(path).items()})
            if unknown := {query for ids in dataclasses.astuple(split) for query in ids} - queries:
                raise UserError(f"{path} is damaged: {min(map(str, unknown))!r} is no query of the corpus")
            return split

    @cached_property
    def grade_places(self) -> dict[int, int]:
        """Each judged grade above 0 -> the number, 1 to L, by which training knows it."""
        return grade_places(self.corpus.qrels)

    @property
    def num_grades(self) -> int:
        """L, how many different grades above 0 the judgements have; in training the number of the best one. Without
        judgements it is 1, the grade of a document for its own texts."""
        return max(1, len(self.grade_places))

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the joint ranking to choose from; () where no validation query can choose."""
        weights = self.experiment.evaluation.weights
        return weights if weights and self.split.validation else ()

    @cached_property
    def doc_ids(self) -> list[str]:
        """Row -> document id."""
        documents = self.corpus.documents
        if isinstance(documents, DocumentStore):
            return documents.doc_ids
        return [document.doc_id for document in documents]

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Document id -> row."""
        return {doc_id: row for row, doc_id in enumerate(self.doc_ids)}

    @cached_property
    def documents(self) -> Mapping[str, Document]:
        """Document id -> document."""
        return DocumentsById(self.corpus.documents, self.row_of)

    def queries(self, part: str) -> dict[str, str]:
        """Id -> text of the "train", "validation" or "test" queries."""
        return {query: self.corpus.queries[query] for query in getattr(self.split, part)}

    def qrels(self, part: str) -> Qrels:
        """The judgements of the "train", "validation" or "test" queries, read without the documents."""
        with reading_stage(self.paths.corpus, f"{part}.qrels") as path:
            return read_qrels(path)

    @cached_property
    def validation_rows(self) -> Int[np.ndarray, "n"]:
        """A document of the best grade for each validation query, the first judged of several."""
        judged = (self.corpus.qrels[query] for query in self.split.validation)
        return np.array([self.row_of[max(grades, key=grades.__getitem__)] for grades in judged], np.int64)

    # vocabulary and examples

    @cached_property
    def tokenizer(self) -> Tokenizer:
        with reading_stage(self.paths.vocabulary, MODEL_NAME) as path:
            return Tokenizer(path, extra_ids=self.experiment.vocabulary.extra_ids)

    @cached_property
    def examples(self) -> dict[str, ExampleArrays]:
        """The tokenised training examples by task; those of documents and of their texts stay on the disk."""
        directory = self.paths.examples
        if (directory / _OLD_EXAMPLES).is_file():
            return self._examples_of_before
        with reading_stage(directory, *_files(*TASKS_ON_DISK), "queries.npz"):
            return self.examples_in(directory)

    def examples_in(self, directory: Path) -> dict[str, ExampleArrays]:
        """Those in the folder. Without training queries, the texts of the augmentation are the queries."""
        ids, grade, path = self.tokenizer.size, self.num_grades, directory / "queries.npz"
        found = {
            task: read_token_files(directory, task, width=width, ids=ids, grade=grade)
            for task, width in TASKS_ON_DISK.items()
        }
        if not self.split.train:
            return found | {"queries": found["pseudo"]}
        file = load_arrays(path, dict.fromkeys(EXAMPLE_FIELDS, 2))
        return found | {"queries": _examples(path, ids, *(file[name] for name in EXAMPLE_FIELDS))}

    @cached_property
    def _examples_of_before(self) -> dict[str, ExampleArrays]:
        """As versions before 28 November 2026 wrote them, all in memory."""
        ids, tasks = self.tokenizer.size, ("queries", *TASKS_ON_DISK)
        with reading_stage(self.paths.examples, _OLD_EXAMPLES) as path:
            file = load_arrays(path, {f"{t}_{f}": 2 for t in tasks for f in EXAMPLE_FIELDS})
            return {t: _examples(path, ids, *(file[f"{t}_{f}"] for f in EXAMPLE_FIELDS)) for t in tasks}

    @cached_property
    def document_tokens(self) -> Int[np.ndarray, "N T"] | TokenRows:
        """The beginning of each document, 0-padded; further passages of long ones are examples alone."""
        tokens = self.examples["documents"].tokens
        return tokens.head(len(self.doc_ids)) if isinstance(tokens, TokenRows) else tokens[: len(self.doc_ids)]

    @cached_property
    def training_examples(self) -> dict[str, Examples]:
        """The examples, with the generated queries among the pseudo-queries where the experiment has any."""
        if not self.experiment.augmentation.generated:
            return self.examples
        return self.examples | {"pseudo": EndToEnd(self.examples["pseudo"], self.generated)}

    @cached_property
    def generated(self) -> ExampleArrays:
        """The generated queries, one document each."""
        ids, directory = self.tokenizer.size, self.paths.generated
        with reading_stage(directory, *_files(GENERATED), _OLD_GENERATED):
            if (path := directory / _OLD_GENERATED).is_file():
                file = load_arrays(path, dict.fromkeys(EXAMPLE_FIELDS, 2))
                return _examples(path, ids, *(file[name] for name in EXAMPLE_FIELDS))
            return read_token_files(directory, GENERATED, width=QUERY_LENGTH, ids=ids, grade=self.num_grades)

    @property
    def generated_fingerprint(self) -> str | None:
        """The fingerprint of the generated queries; None where the experiment has none."""
        return current_fingerprint(self.paths.generated) if self.experiment.augmentation.generated else None

    @property
    def examples_fingerprint(self) -> str:
        return current_fingerprint(self.paths.examples)

    @cached_property
    def semantics(self) -> TokenSemantics:
        ids = self.tokenizer.size
        with reading_stage(self.paths.examples, SEMANTICS, VECTORS_FILE) as path:
            file = load_all_arrays(path, (1, 2))
            if "document_vectors" not in file:  # versions before 28 November 2026 kept all in one file
                file["document_vectors"] = map_array(path.with_name(VECTORS_FILE), ndim=2)
            semantics = TokenSemantics(*(file[name] for name in TokenSemantics._fields))
            if len(semantics.token_vectors) != ids or len(semantics.log_idf) != ids:
                raise UserError(f"{path} is damaged: it is not of the vocabulary's {ids} ids")
            if len(semantics.document_vectors) != len(self.doc_ids):
                raise UserError(f"{path.with_name(VECTORS_FILE)} is not of the {len(self.doc_ids)} documents")
            return semantics

    # docids and trainings

    def docids(self, scheme: str) -> "Docids":
        """The docids of a scheme."""
        if scheme not in self._docids:
            directory, tokenizer, documents = self.paths.docids(scheme), self.tokenizer, len(self.doc_ids)
            with reading_stage(directory, "trie") as path:
                trie = DocidTrie.load(path, vocabulary=tokenizer.fingerprint)
                if trie.tokens[-1] >= tokenizer.size:
                    raise UserError(f"{path} is damaged: it holds the token {trie.tokens[-1]}, which has no meaning")
                if trie.num_docids != documents:
                    raise UserError(f"{path} is damaged: it has {trie.num_docids} docids for {documents} documents")
            self._docids[scheme] = Docids(trie, directory, tokenizer.size)
        return self._docids[scheme]

    def docids_fingerprint(self, scheme: str) -> str:
        """The fingerprint of a scheme's docids; the trie is not read."""
        return current_fingerprint(self.paths.docids(scheme))

    def training(self, row: str, fingerprint: str | None = None) -> Stage:
        """The stage of a row's training: checkpoints/<row>-<fingerprint>, by default as it was last begun."""
        fingerprint = self.trainings.get(row) if fingerprint is None else fingerprint
        if fingerprint is None:
            raise UserError(f"{row} is not trained yet in {self.paths.root}: run the same command again to finish it")
        return Stage(self.paths.checkpoints(row, fingerprint), fingerprint)

    def begin_training(self, row: str, fingerprint: str) -> Stage:
        """Notes in config.json that this is the row's training, so that it is found before it ends, and returns it,
        finished where another run lends it. Every process calls this."""
        if self.trainings.get(row) != fingerprint:
            self.trainings[row] = fingerprint
            self.write_record()
        self._newest.pop(row, None)
        stage = self.training(row, fingerprint)
        stage.take_over()
        return stage

    def newest_step(self, row: str) -> int:
        """The step of a row's newest checkpoint, as the first process saw it at the first call. A training may save
        another meanwhile, but everything said about a row must be about one model."""
        if row not in self._newest:
            directory = self.training(row).directory
            self._newest[row] = of_first(max(checkpoint_steps(directory), default=-1))
            if self._newest[row] < 0:
                raise UserError(f"there is no whole checkpoint in {directory}: train first")
        return self._newest[row]

    # config.json

    def write_record(self) -> None:
        write_json(self.paths.config, self._record | {"trainings": self.trainings})
        if is_first():
            push(self.paths.config)

    def resume_record(self) -> None:
        """Takes over the trainings that config.json names, and writes it where the experiment is another. A row that
        another experiment trained can be opened until this one trains it again."""
        old = read_json(self.paths.config) if self.paths.config.is_file() else {}
        with reading(self.paths.config):
            self.trainings = dict(old.get("trainings", {}))
        if {name: value for name, value in old.items() if name != "trainings"} != self._record:
            self.write_record()

    @cached_property
    def _record(self) -> dict[str, Any]:
        return {"experiment": to_record(self.experiment), "fold": self.fold}


@dataclasses.dataclass(frozen=True)
class Docids:
    """The docids of one scheme, as a training and a search read them."""

    trie: DocidTrie
    directory: Path
    vocab_size: int

    @cached_property
    def table(self) -> Int[np.ndarray, "N T"]:
        """Every document's docid with EOS, 0-padded."""
        return self.trie.docids_with_ends()

    @cached_property
    def columns(self) -> Int[np.ndarray, "V"]:
        """The column of the model's logits for each token of a docid; 0 for the others, which no docid holds."""
        return self.trie.columns(self.vocab_size)


def _files(*names: str) -> list[str]:
    return [f"{name}.{part}.npy" for name in names for part in FILES]


def _examples(path: Path, ids: int, tokens: np.ndarray, docid_rows: np.ndarray, grades: np.ndarray) -> ExampleArrays:
    """The arrays as examples in a vocabulary of so many ids; `UserError` where they cannot be."""
    fit = len(tokens) == len(docid_rows) and docid_rows.shape == grades.shape
    whole = all(array.dtype.kind in "iu" for array in (tokens, docid_rows, grades))
    if not fit or not whole or tokens.max(initial=0) >= ids or tokens.min(initial=0) < 0:
        raise UserError(f"{path} is damaged: its arrays are not those of examples")
    return ExampleArrays(tokens, docid_rows, grades)


def _called(name: str, items: Sequence, missing: str):
    by_name = {item.name: item for item in items}
    if name not in by_name:
        raise UserError(f"{missing} '{name}': {nearest(name, by_name)}")
    return by_name[name]
