"""Generative rows: a model that writes docids, trained by Eq. 10 and, where asked for, against its own mistakes."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax

from gr2_jax.errors import SettingError, UserError, check_above_zero, check_least, nearest
from gr2_jax.experiment import OptimiserConfig, RetrievalObjective, Row
from gr2_jax.files import write_json
from gr2_jax.models import GR2
from gr2_jax.objectives.graded import BY_LISTS
from gr2_jax.pipeline.generative import generative_retriever, model_over
from gr2_jax.pipeline.initial_weights import random_params, starting_params, weights_fingerprint
from gr2_jax.pipeline.retrieval_step import RetrievalStep
from gr2_jax.pipeline.rows.training import (
    check_fingerprints,
    graded_batches,
    list_fingerprint,
    trained_config,
    trained_seconds,
)
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.self_negatives import Mined, mined_negatives
from gr2_jax.pipeline.stage import Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.pipeline.validation import CURVE, best_on_validation, read_weight, validation_hook
from gr2_jax.pipeline.vector_pieces import Join, Write, build_vectors
from gr2_jax.progress import say
from gr2_jax.search.docid_vectors import DocidVectors, VectorSettings
from gr2_jax.search.retriever import Retriever
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.job import TrainingJob
from gr2_jax.training.loop import train

_LEAK = 2.0  # vectors that had read the query: 1.5 times on the quickstart; docids' own vectors: 12 times


@dataclasses.dataclass(frozen=True)
class SelfNegatives:
    """Fine-tuning of a trained row against the docids that it ranks high and wrongly (paper 5.1, after RIPOR).

    of                      a system above this one that writes the same docids: the training starts from its weights
    steps, learning_rate    of the fine-tuning; the rest is `retrieval.optimiser`'s
    beams                   of the search over the training queries; it also tries as many of the nearest docids
    depth                   how many of the documents found that are not judged relevant are kept for each query
    negatives               H, how many of these a batch holds per query, drawn anew each time, those that are judged
                            not relevant first
    unjudged_weight         of a document that nobody judged, which may be relevant, beside 1 for those
    weight                  of `gr2_jax.losses.self_negative_loss`
    """

    of: str
    steps: int = 200
    learning_rate: float = 1e-3
    beams: int = 20
    depth: int = 10
    negatives: int = 4
    unjudged_weight: float = 1.0
    weight: float = 1.0

    def __post_init__(self):
        check_least(self, 1, "steps", "negatives")
        check_above_zero(self, "learning_rate")
        check_least(self, 0, "weight", "unjudged_weight")
        if not self.weight and self.unjudged_weight != 1:
            raise SettingError(
                self, "unjudged_weight", f"is {self.unjudged_weight}: with a weight of 0 it does nothing"
            )
        if not self.negatives <= self.depth <= self.beams:
            raise SettingError(
                self,
                "depth",
                f"is {self.depth}: it must be between negatives, {self.negatives}, and beams, {self.beams}",
            )


@dataclasses.dataclass(frozen=True)
class System(Row):
    """A trained model that writes docids.

    docids           the docid scheme that it writes
    objective        in place of `retrieval.objective`, for this row alone
    binary           trains on relevance alone: all grades are 1, so relevant documents are drawn uniformly and averaged
                     alike
    steps_factor     its steps, as a multiple of the training's
    self_negatives   continues from another row's weights; its learnable penalty begins anew
    """

    docids: str
    objective: RetrievalObjective | None = None
    binary: bool = False
    steps_factor: float = 1.0
    self_negatives: SelfNegatives | None = None

    def __post_init__(self):
        super().__post_init__()
        check_above_zero(self, "steps_factor")

    @property
    def writes(self) -> tuple[str, ...]:
        return (self.docids,)

    def check(self, run: Run) -> None:
        run.scheme(self.docids)
        if self.steps(run) < 1:
            raise SettingError(self, "steps_factor", f"is {self.steps_factor}: {self.name} has no steps to train")
        graded = self.objective_in(run).graded
        if self.self_negatives is None:
            if graded in BY_LISTS and self.objective_in(run).gamma:
                raise UserError(
                    f"row {self.name} has the graded loss '{graded}', which compares a query's documents with its "
                    "negatives: give it self_negatives"
                )
            return
        above = [row for row in run.rows[: run.rows.index(self)] if isinstance(row, System)]
        start = next((row for row in above if row.name == self.self_negatives.of), None)
        if start is None:
            hint = nearest(self.self_negatives.of, [row.name for row in above]) if above else "it is the first"
            raise UserError(f"row {self.name} starts from '{self.self_negatives.of}', no system above it: {hint}")
        if start.docids != self.docids:
            raise UserError(
                f"row {self.name} writes '{self.docids}' docids and starts from {start.name}, which writes "
                f"'{start.docids}' docids: both must write the same"
            )

    def steps(self, run: Run) -> int:
        stage = self.self_negatives or run.experiment.retrieval.optimiser
        return round(stage.steps * self.steps_factor)

    def optimiser(self, run: Run) -> OptimiserConfig:
        """Steps and learning rate of this row's training, or of its fine-tuning, with as large a share of warm-up."""
        whole = run.experiment.retrieval.optimiser
        if self.self_negatives is None:
            return dataclasses.replace(whole, steps=self.steps(run))
        warmup = round(whole.warmup_steps * self.self_negatives.steps / whole.steps)
        rate = self.self_negatives.learning_rate
        return dataclasses.replace(whole, steps=self.steps(run), learning_rate=rate, warmup_steps=warmup)

    def objective_in(self, run: Run) -> RetrievalObjective:
        return run.experiment.retrieval.objective if self.objective is None else self.objective

    # training

    def train(self, run: Run) -> None:
        """To checkpoints/<name>-<fingerprint>/, continuing from what is there; the table of docid vectors, which
        searches map into memory, to vectors/<name>/; and the weight of the joint score, where it is chosen on the
        validation queries, to weights/<name>/."""
        self._train(run)
        if not self.objective_in(run).trains_vectors:
            return

        def opened() -> tuple[Write, Join]:
            retriever = self._restored(run)
            return retriever.docid_vectors_writer(), retriever.join_docid_vectors

        build_vectors(run, self.name, self._table(run), "vectors of docids", opened)
        weight = self._weight(run)
        if run.weights and not weight.done:
            weight.build(partial(self._choose_weight, run, self._restored(run).with_options(exact="no")))

    @staticmethod
    def _choose_weight(run: Run, searcher: Retriever, out: Path) -> None:
        chosen = best_on_validation(run, run.weights, lambda w: searcher.with_options(weight=w))
        write_json(out / "weight.json", chosen)

    def _train(self, run: Run) -> None:
        retrieval = run.experiment.retrieval
        stage = run.begin_training(self.name, self._training_fingerprint(run))
        if stage.done:
            if retrieval.evaluate_every and not (stage.directory / CURVE).is_file():
                say(f"{self.name} is trained already: retrieval.evaluate_every only applies while a row trains")
            return
        start = self._start_anew(run) if self.self_negatives is None else self._start_from(run)
        step = self._step(run, start.model)
        job = self._job(run, step, start.mined)
        if retrieval.evaluate_every:
            make = partial(self._retriever, run, start.model)
            hook, best = validation_hook(run, make, stage.directory)
            job = dataclasses.replace(job, hook=hook, hook_every=retrieval.evaluate_every, best=best)
        stage.begin({"t5": dataclasses.asdict(start.model.config), **self._current_fingerprints(run)})
        say(f"training {self.name} on {self.docids} docids, {job.steps:,} steps")
        meta = train(job, step.trained(start.params), stage.directory)
        say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
        stage.finish({**meta, "seconds": meta["seconds"] + start.seconds})
        _warn_of_a_leak(self.name, self.objective_in(run), meta["parts"])

    def _table(self, run: Run) -> Stage:
        made_of = [run.training(self.name).fingerprint, run.newest_step(self.name), run.experiment.evaluation.vectors]
        return Stage(run.paths.vectors(self.name), fingerprint_of(made_of))

    def _weight(self, run: Run) -> Stage:
        chosen_by = [
            self._table(run).fingerprint,
            current_fingerprint(run.paths.corpus),
            run.experiment.evaluation.decides,
        ]
        return Stage(run.paths.weight(self.name), fingerprint_of(chosen_by))

    def _training_fingerprint(self, run: Run) -> str:
        retrieval = dataclasses.replace(run.experiment.retrieval, objective=self.objective_in(run), evaluate_every=0)
        start = None if self.self_negatives is None else run.training(self.self_negatives.of).fingerprint
        upstream = [run.docids_fingerprint(self.docids), run.generated_fingerprint]
        return fingerprint_of([upstream, self, retrieval, weights_fingerprint(retrieval.model), start])

    def _start_anew(self, run: Run) -> "_Start":
        config, docids = run.experiment.retrieval.model, run.docids(self.docids)
        model = model_over(config.t5(run.tokenizer.size), docids.trie)
        params = random_params(model, run.experiment.seed)
        return _Start(model, starting_params(params, config, model.config, run, docids.directory))

    def _start_from(self, run: Run) -> "_Start":
        """The weights of the row that `self_negatives` names, and what it finds wrongly for the training queries."""
        other = run.row(self.self_negatives.of)
        retriever, stage = other.open(run), run.training(other.name)
        mined = mined_negatives(
            run, other.name, retriever, beams=self.self_negatives.beams, depth=self.self_negatives.depth
        )
        return _Start(retriever.model, retriever.params, mined, trained_seconds(stage) + mined.seconds)

    def _step(self, run: Run, model: GR2) -> RetrievalStep:
        retrieval, docids, mining = run.experiment.retrieval, run.docids(self.docids), self.self_negatives
        return RetrievalStep(
            model=model,
            objective=self.objective_in(run),
            optimiser=self.optimiser(run),
            batch=retrieval.batch,
            num_grades=1 if self.binary else run.num_grades,
            docid_length=docids.table.shape[1],
            docid_table=docids.table,
            columns=docids.columns,
            negatives=0 if mining is None else mining.negatives,
            negatives_weight=1.0 if mining is None else mining.weight,
        )

    def _job(self, run: Run, step: RetrievalStep, mined: Mined | None) -> TrainingJob:
        changes = {"binary": self.binary}
        if mined is not None:
            changes |= {"negatives": mined.rows, "negatives_per_query": step.negatives}
            changes |= {"judged_negatives": mined.judged, "unjudged_weight": self.self_negatives.unjudged_weight}
        batches = graded_batches(run, **changes)
        return step.job(self.name, batches, run.experiment, run.tokenizer.decode)

    # searching

    def fingerprint(self, run: Run) -> str:
        weight = [self._weight(run).fingerprint] if run.weights else []
        return list_fingerprint(run, [run.training(self.name).fingerprint, *weight])

    def open(self, run: Run, step: int | None = None) -> Retriever:
        retriever = self._restored(run, step)
        if retriever.compares is None or not run.weights:
            return retriever
        weight = self._weight(run)
        if weight.done:
            return retriever.with_options(weight=read_weight(weight.directory))
        say(f"  {self.name}: the weight of the joint ranking is not chosen yet, so it is {retriever.options.weight:g}")
        return retriever

    def open_to_compare(self, run: Run) -> Retriever:
        """Compares a query with docids as Eq. 4 does, also where the training did not: the vectors are then what
        likelihoods alone made of the encoder, read through a head that nothing trained."""
        retriever = self._restored(run)
        return dataclasses.replace(retriever, compares=self._settings(run))

    def _restored(self, run: Run, step: int | None = None) -> Retriever:
        """With the weight of the joint ranking that the experiment configures."""
        stage = run.training(self.name)
        check_fingerprints(run, stage, self._current_fingerprints(run))
        model = model_over(trained_config(stage), run.docids(self.docids).trie)
        shapes = jax.eval_shape(partial(random_params, model, 0))
        newest = run.newest_step(self.name)
        at = newest if step is None else step
        # in the memory of the host: the search decides what each device holds of them
        params = restore_params(stage.directory, shapes, at, on_host=True)[0]
        retriever = self._retriever(run, model, params)
        table = self._table(run)
        if retriever.compares is None or at != newest or not table.done:
            return retriever  # it makes the vectors when it needs them
        return dataclasses.replace(retriever, vectors=self._vectors(run, table.directory))

    @staticmethod
    def _vectors(run: Run, directory: Path) -> DocidVectors:
        with reading_stage(directory, "") as path:
            vectors = DocidVectors.load(path)
            if len(vectors.values) != len(run.doc_ids):
                raise UserError(
                    f"{path} is damaged: it has {len(vectors.values)} vectors for {len(run.doc_ids)} documents"
                )
            return vectors

    def models(self, run: Run, step: int | None = None) -> dict[str, dict[str, str | int]]:
        stage = run.training(self.name)
        at = run.newest_step(self.name) if step is None else step
        return {self.name: {"training": stage.fingerprint, "step": at, **self._current_fingerprints(run)}}

    def depth(self, run: Run) -> int:
        return run.experiment.evaluation.beams

    def train_seconds(self, run: Run) -> float:
        return trained_seconds(run.training(self.name))

    def _retriever(self, run: Run, model: GR2, params: dict) -> Retriever:
        """Searches the run's documents with these parameters."""
        return generative_retriever(
            model,
            params,
            run.docids(self.docids).trie,
            run.tokenizer,
            run.doc_ids,
            query_length=run.experiment.evaluation.query_length,
            query_end=run.experiment.retrieval.model.input_end,
            options=run.experiment.evaluation.search,
            compares=self._compares(run),
        )

    def _compares(self, run: Run) -> VectorSettings | None:
        """How the row compares queries with docids; None where it was not trained to."""
        return self._settings(run) if self.objective_in(run).trains_vectors else None

    def _settings(self, run: Run) -> VectorSettings:
        objective = self.objective_in(run)
        return VectorSettings(objective.docid_reader, objective.temperature, objective.similarity)

    def _current_fingerprints(self, run: Run) -> dict[str, str]:
        """The fingerprints of what the model's tokens mean: the vocabulary, and the docids that this row writes."""
        return {"vocabulary": run.tokenizer.fingerprint, "docids": run.docids_fingerprint(self.docids)}


class _Start(NamedTuple):
    """What training starts from; `seconds` went into it before."""

    model: GR2
    params: dict
    mined: Mined | None = None
    seconds: float = 0.0


def _warn_of_a_leak(name: str, objective: RetrievalObjective, parts: dict[str, float]) -> None:
    """Says so where docids are read with the query and permuting them hardly raised the last step's graded loss."""
    permuted = parts.get(f"{objective.graded}_permuted")
    value = parts.get(objective.graded)
    if objective.docid_reader == "query" and permuted is not None and permuted < _LEAK * value:
        say(
            f"  {name}: {objective.graded} is {value:.3f}, and {permuted:.3f} with the docids permuted: it hardly "
            f"reads them (docid_reader is '{objective.docid_reader}')"
        )
