"""The dense row: a bi-encoder trained on the batches of the generative rows, and its documents' vectors."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gr2_jax.data.batches import cut_inputs
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.errors import SettingError, UserError, check_above_zero, check_least
from gr2_jax.experiment import VectorRow
from gr2_jax.models.bi_encoder import BiEncoder
from gr2_jax.objectives.dense import dense_loss
from gr2_jax.pipeline.initial_weights import starting_params, weights_fingerprint
from gr2_jax.pipeline.rows.training import (
    VECTORS,
    check_fingerprints,
    graded_batches,
    join_document_vectors,
    read_document_vectors,
    trained_config,
    trained_seconds,
    write_document_vectors,
)
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stage import Stage, fingerprint_of
from gr2_jax.pipeline.vector_pieces import Join, Write, build_vectors
from gr2_jax.progress import say
from gr2_jax.search.dense import DenseIndex
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train
from gr2_jax.training.optimiser import make_optimiser

_DOCUMENTS_AT_ONCE = 256

_BLOCK = 8192  # documents


@dataclasses.dataclass(frozen=True)
class DenseRow(VectorRow):
    """A bi-encoder, which compares a query with vectors of the documents and writes no docids.

    It is the encoder of `retrieval.model` alone, with the same start, optimiser and batches as the systems; with 0
    encoder layers it is a bag of words.

    steps_factor       its steps, as a multiple of `retrieval.optimiser`'s
    temperature        by which the cosines are divided in training
    document_length    the first tokens of a document that it reads
    """

    name: str = "Dense"
    steps_factor: float = 1.0
    temperature: float = 0.05
    document_length: int = 64

    def __post_init__(self):
        super().__post_init__()
        check_above_zero(self, "steps_factor", "temperature")
        check_least(self, 1, "document_length")

    def check(self, run: Run) -> None:
        if self.steps(run) < 1:
            raise SettingError(self, "steps_factor", f"is {self.steps_factor}: {self.name} has no steps to train")

    def steps(self, run: Run) -> int:
        return round(run.experiment.retrieval.optimiser.steps * self.steps_factor)

    # training

    def train(self, run: Run) -> None:
        """To checkpoints/<name>-<fingerprint>/, continuing from what is there, and the documents' vectors, which
        searches map into memory, to vectors/<name>/."""
        self._train(run)
        if _vectors_of_before(run.training(self.name)) is None:
            build_vectors(run, self.name, self._vectors(run), "vectors of documents", partial(self._opened, run))

    def _opened(self, run: Run) -> tuple[Write, Join]:
        model, params = _restored(run.training(self.name))
        encode, width = partial(_encoder(model, params), size=_DOCUMENTS_AT_ONCE), model.config.d_model

        def write(out: Path, rows: range, advance: Callable[[int], None]) -> None:
            write_document_vectors(out, encoded(encode, self._documents_in_blocks(run, rows), advance), width)

        return write, partial(join_document_vectors, width=width)

    def _train(self, run: Run) -> None:
        retrieval = run.experiment.retrieval
        stage = run.begin_training(self.name, self.vectors_fingerprint(run))
        if stage.done:
            return
        model = BiEncoder(retrieval.model.t5(run.tokenizer.size))
        job = self._job(run, model)
        say(f"training {self.name}, {job.steps:,} steps")
        start = starting_params(_random_params(model, run.experiment.seed), retrieval.model, model.config, run)
        stage.begin({"t5": dataclasses.asdict(model.config), "vocabulary": run.tokenizer.fingerprint})
        meta = train(job, start, stage.directory)
        say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
        stage.finish(meta)

    def vectors_fingerprint(self, run: Run) -> str:
        """That of the training."""
        retrieval = run.experiment.retrieval
        settings = [retrieval.model, retrieval.optimiser, retrieval.batch, weights_fingerprint(retrieval.model)]
        return fingerprint_of([[run.examples_fingerprint, run.generated_fingerprint], self, *settings])

    def _vectors(self, run: Run) -> Stage:
        made_of = [run.training(self.name).fingerprint, run.newest_step(self.name)]
        return Stage(run.paths.vectors(self.name), fingerprint_of(made_of))

    def _job(self, run: Run, model: BiEncoder) -> TrainingJob:
        experiment, steps = run.experiment, self.steps(run)
        loss = partial(
            dense_loss,
            model=model,
            document_table=jnp.asarray(self._documents(run)),
            temperature=self.temperature,
            microbatches=experiment.retrieval.batch.microbatches,
        )
        return TrainingJob(
            label=self.name,
            loss=loss,
            batches=graded_batches(run),
            optimiser=make_optimiser(dataclasses.replace(experiment.retrieval.optimiser, steps=steps)),
            steps=steps,
            seed=experiment.seed,
            mesh=experiment.mesh,
            loop=experiment.loop,
        )

    def _documents(self, run: Run) -> Int[np.ndarray, "N S"]:
        """The tokens that the encoder reads of every document, in the collection's order: in memory and, while it
        trains, on the devices, so in 16 bits where they fit."""
        kind = np.uint16 if run.tokenizer.size <= 1 << 16 else np.int32
        table, start = np.zeros((len(run.document_tokens), self.document_length), kind), 0
        for block in self._documents_in_blocks(run, range(len(table))):
            table[start : start + len(block)] = block
            start += len(block)
        return table

    def _documents_in_blocks(self, run: Run, rows: range) -> Iterator[Int[np.ndarray, "n S"]]:
        tokens = run.document_tokens
        return (self._cut(run, tokens[start : min(start + _BLOCK, rows.stop)]) for start in rows[::_BLOCK])

    def _cut(self, run: Run, tokens: Int[np.ndarray, "n T"]) -> Int[np.ndarray, "n S"]:
        return cut_inputs(tokens, self.document_length, run.experiment.retrieval.model.input_end)

    # the documents' vectors

    def encode_documents(self, run: Run, rows: Int[np.ndarray, "n"]) -> Float[np.ndarray, "n F"]:
        encode = _encoder(*_restored(run.training(self.name)))
        tokens = self._cut(run, run.document_tokens[rows])
        return np.concatenate(list(encode(tokens, _DOCUMENTS_AT_ONCE)))

    def document_vectors(self, run: Run) -> Float[np.ndarray, "N F"]:
        made = self._vectors(run)
        directory = made.directory if made.done else _vectors_of_before(run.training(self.name))
        return read_document_vectors(run, self.name, directory)

    # searching

    def fingerprint(self, run: Run) -> str:
        return fingerprint_of([run.training(self.name).fingerprint, run.experiment.evaluation.query_length])

    def open(self, run: Run, step: int | None = None) -> DenseIndex:
        if step is not None:
            raise UserError(f"{self.name} has document vectors only for its last step: leave --step out")
        stage, experiment, vectors = run.training(self.name), run.experiment, self.document_vectors(run)
        tokenizer, end = run.tokenizer, experiment.retrieval.model.input_end
        check_fingerprints(run, stage, {"vocabulary": tokenizer.fingerprint})
        model, params = _restored(stage)
        encode = _encoder(model, params)

        def encode_texts(texts: Sequence[str], batch: int) -> Float[np.ndarray, "Q D"]:
            tokens = pad_rows(tokenizer.encode_batch(texts), experiment.evaluation.query_length, eos=end)
            return np.concatenate(list(encode(tokens, batch)))

        return DenseIndex(
            doc_ids=run.doc_ids,
            vectors=vectors,
            encode=encode_texts,
            model_bytes=sum(leaf.nbytes for leaf in jax.tree.leaves(params)),
        )

    def models(self, run: Run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        stage = run.training(self.name)
        about = {
            "training": stage.fingerprint,
            "step": run.newest_step(self.name),
            "vocabulary": run.tokenizer.fingerprint,
        }
        return {self.name: about}

    def train_seconds(self, run: Run) -> float:
        return trained_seconds(run.training(self.name))


def _random_params(model: BiEncoder, seed: int) -> dict:
    return model.init(jax.random.key(seed), np.ones((1, 2), int))["params"]


def _vectors_of_before(stage: Stage) -> Path | None:
    """The folder with the vectors of a row that an earlier version trained: that of its checkpoints."""
    return stage.directory if stage.done and (stage.directory / VECTORS).is_file() else None


def _restored(stage: Stage) -> tuple[BiEncoder, dict]:
    """The model and parameters of a training's newest checkpoint."""
    model = BiEncoder(trained_config(stage))
    shapes = jax.eval_shape(partial(_random_params, model, 0))
    return model, restore_params(stage.directory, shapes, on_host=True)[0]


Encode = Callable[[Int[np.ndarray, "n S"]], Iterator[Float[np.ndarray, "m D"]]]


def encoded(
    encode: Encode, documents: Iterable[Int[np.ndarray, "n S"]], advance: Callable[[int], None]
) -> Iterator[Float[np.ndarray, "m D"]]:
    """The vectors of documents, part by part, by blocks of their tokens; `advance` is called with how many more are
    done."""
    for block in documents:
        for part in encode(block):
            yield part
            advance(len(part))


def _encoder(model: BiEncoder, params: dict) -> Callable[..., Iterator[Float[np.ndarray, "m D"]]]:
    """Tokens [n, S], and a size -> vectors [at most `size`, D], part by part; compiled once for each size and S."""
    apply = jax.jit(lambda params, tokens: model.apply({"params": params}, tokens))

    def encode(tokens: Int[np.ndarray, "n S"], size: int) -> Iterator[Float[np.ndarray, "m D"]]:
        for start in range(0, len(tokens), size):
            part = tokens[start : start + size]
            filled = np.pad(part, [(0, size - len(part)), (0, 0)])
            yield np.asarray(apply(params, filled))[: len(part)]

    return encode
