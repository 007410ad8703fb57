"""Pre-training on graded pairs (GR2P): what `gr2 wikipedia` or `gr2 pairs` wrote goes in, weights to fine-tune from
come out.

Four stages under the workdir: vocabulary/, examples/ (tokenised, in files with random access), checkpoints/ and
model/t5, which `ModelConfig.weights` names. Memory does not grow with the sources.
"""

import dataclasses
import itertools
import re
import shutil
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from flax import traverse_util

from gr2_jax.buckets import local_copy
from gr2_jax.corpus.wikipedia.reader import (
    wikipedia_documents,
    wikipedia_files,
    wikipedia_fingerprint,
    wikipedia_grades,
)
from gr2_jax.data.batches import GradedBatches
from gr2_jax.data.example_files import ExampleFiles
from gr2_jax.data.order import Examples, Mixture
from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.data.seqio.materialise import materialise_files
from gr2_jax.data.seqio.tasks import TaskOptions, register_tasks
from gr2_jax.data.vocabulary import MODEL_NAME, Tokenizer
from gr2_jax.errors import UserError
from gr2_jax.experiment import Pretraining
from gr2_jax.files import writing
from gr2_jax.lock import holding
from gr2_jax.models import GR2, save_t5, unstack_layers
from gr2_jax.pipeline.checks import check_weights
from gr2_jax.pipeline.initial_weights import HEAD_FILE, from_weights, random_params, weights_fingerprint
from gr2_jax.pipeline.prepare import build_vocabulary, vocabulary_stage
from gr2_jax.pipeline.retrieval_step import RetrievalStep
from gr2_jax.pipeline.stage import Stage, fingerprint_of, reading_stage
from gr2_jax.pipeline.workdir import Workdir
from gr2_jax.progress import say
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.loop import train
from gr2_jax.training.mesh import devices_in_words

_ROLES = {"pairs": "pairs", "titles": "documents"}  # seqio's tasks, and what they read of a source
_ROWS = 1 << 27  # a source's document ids are below: the rows of the next source begin there


def pretrain(experiment: Pretraining, directory: Path, *, until: str = "train") -> Path | None:
    """Brings the run up to the stage `until` ("prepare" or "train"), doing only what is not yet done; returns the
    directory of the weights, which is also there when a run is asked for again."""
    run = PretrainingRun(experiment, directory)
    run.check()
    run.paths.create()
    with holding(run.paths.root), writing(run.paths.root):
        say(devices_in_words())
        run.prepare()
        return None if until == "prepare" else run.train()


class PretrainingRun:
    """A pre-training in one directory; what its stages left is read at most once."""

    def __init__(self, experiment: Pretraining, directory: Path):
        self.experiment, self.paths = experiment, Workdir(local_copy(directory, workdir=True))

    def check(self) -> None:
        """Raises `UserError` for settings that cannot work."""
        experiment, retrieval = self.experiment, self.experiment.retrieval
        judged = experiment.pairs.judged
        if not experiment.pairs.sources:
            raise UserError(
                "pre-training needs sources: pairs.sources=(GradedPairs('DIR'),), where `gr2 wikipedia --output DIR` "
                "or `gr2 pairs --output DIR`"
            )
        if retrieval.batch.pseudo_share:
            raise UserError("pre-training has no augmentation: retrieval.batch.pseudo_share must be 0")
        if retrieval.model.starts_from_lsa:
            raise UserError("pre-training has no LSA start, which needs a corpus in memory: model.lsa_start=False")
        if retrieval.model.weights is not None:
            check_weights(experiment.vocabulary, "retrieval", retrieval.model)
        if retrieval.batch.docids > judged:
            raise UserError(f"retrieval.batch.docids is {retrieval.batch.docids}, and pairs.judged only {judged}")
        if retrieval.objective.penalty == "learnable":
            raise UserError("a learnable penalty is for fine-tuning: choose another penalty for pre-training")
        if retrieval.evaluate_every:
            raise UserError("pre-training has no queries to validate on: retrieval.evaluate_every must be 0")
        if experiment.docids.schemes:
            raise UserError("pre-training writes titles and no other docids: docids.schemes must be empty")

    # vocabulary and examples

    def prepare(self) -> None:
        """Makes vocabulary/ and examples/."""
        config, sources = self.experiment.vocabulary, self.experiment.pairs.sources
        self._vocabulary.build(lambda out: build_vocabulary(config, self._vocabulary_texts(), out))
        for i, role in itertools.product(range(len(sources)), _ROLES):
            stage = Stage(self._examples_of(i, role), fingerprint_of([self._examples_fingerprint, i, role]))
            stage.build(partial(self._build_examples, i, role))

    @cached_property
    def _vocabulary(self) -> Stage:
        found = [wikipedia_fingerprint(source.directory) for source in self.experiment.pairs.sources]
        return vocabulary_stage(self.paths.vocabulary, found, self.experiment.vocabulary)

    @cached_property
    def _examples_fingerprint(self) -> str:
        pairs = self.experiment.pairs
        lengths = [self.docid_length, pairs.document_length, self.experiment.retrieval.batch.length]
        return fingerprint_of([self._vocabulary.fingerprint, pairs.judged, *lengths])

    def _vocabulary_texts(self) -> Iterator[str]:
        """Titles and leading paragraphs of documents, in the files' order (which is that of a hash), up to
        `characters`."""
        left = self.experiment.vocabulary.characters
        streams = [wikipedia_documents(source.directory) for source in self.experiment.pairs.sources]
        for document in itertools.chain.from_iterable(itertools.zip_longest(*streams)):
            if document is None:
                continue
            for text in (document.title, *document.text.split("\n\n")[:3]):
                yield text
                left -= len(text)
            if left <= 0:
                return

    def _examples_of(self, source: int, role: str) -> Path:
        return self.paths.examples / f"{source}-{role}"

    @cached_property
    def num_grades(self) -> int:
        """L, the highest over the sources; a grade counts the same in all of them."""
        return max(wikipedia_grades(source.directory) for source in self.experiment.pairs.sources)

    def _build_examples(self, source: int, role: str, out: Path) -> None:
        experiment, pairs = self.experiment, self.experiment.pairs
        directory = pairs.sources[source].directory
        say(f"tokenising {_ROLES[role]} of {directory}")
        vocabulary = self.paths.vocabulary / MODEL_NAME
        options = TaskOptions(
            vocabulary, experiment.vocabulary.extra_ids, docid_length=self.docid_length, best_grade=self.num_grades
        )
        prefix = re.sub(r"\W", "_", experiment.name) + f"_{source}"
        (name, *_) = register_tasks(prefix, {role: wikipedia_files(directory, _ROLES[role])}, options)
        task = libraries().seqio.TaskRegistry.get(name)
        length = pairs.document_length if role == "titles" else experiment.retrieval.batch.length
        if not materialise_files(task, out / "files", length=length, judged=pairs.judged, shards=pairs.shards):
            raise UserError(f"{directory} holds no {_ROLES[role]} to train on")

    # training

    @property
    def docid_length(self) -> int:
        """Tokens of a title at most, EOS included."""
        return self.experiment.docids.max_length + 1

    @cached_property
    def tokenizer(self) -> Tokenizer:
        with reading_stage(self.paths.vocabulary, MODEL_NAME) as path:
            return Tokenizer(path, extra_ids=self.experiment.vocabulary.extra_ids)

    def batches(self) -> GradedBatches:
        """Batches of the tokenised examples, with the docids in them."""
        retrieval = self.experiment.retrieval
        documents = self._source("titles", self.experiment.pairs.document_length)
        return GradedBatches(
            queries=self._source("pairs", retrieval.batch.length),
            pseudo=documents,
            documents=documents,
            shape=retrieval.batch,
            seed=self.experiment.seed,
            eos=retrieval.model.input_end,
        )

    def _source(self, role: str, length: int) -> Examples:
        sources = self.experiment.pairs.sources
        widths = {
            "length": length,
            "judged": self.experiment.pairs.judged if role == "pairs" else 1,
            "docid_length": self.docid_length,
        }
        files = []
        for i in range(len(sources)):
            with reading_stage(self._examples_of(i, role), "files") as path:
                files.append(ExampleFiles.open(path, **widths))
        if len(files) == 1:
            return files[0]
        return Mixture(files, [source.rate for source in sources], [i * _ROWS for i in range(len(files))])

    def train(self) -> Path:
        """Trains and exports; returns the directory of the weights."""
        exported = Stage(self.paths.exported, self._training_fingerprint())
        if not exported.done:
            model, params = self._train(exported.fingerprint)
            exported.build(partial(self._export, model, params))
        return self.paths.exported / "t5"

    def _training_fingerprint(self) -> str:
        """The fingerprint of what decides the weights; names, places and devices do not."""
        retrieval, sources = self.experiment.retrieval, self.experiment.pairs.sources
        model = dataclasses.replace(retrieval.model, weights=None)
        settings = [self.experiment.seed, [source.rate for source in sources], model]
        settings += [retrieval.optimiser, retrieval.objective, retrieval.batch]
        return fingerprint_of([self._examples_fingerprint, weights_fingerprint(retrieval.model), settings])

    def _train(self, fingerprint: str) -> tuple[GR2, dict]:
        """Every process takes part, and gets the parameters."""
        experiment, retrieval = self.experiment, self.experiment.retrieval
        model = GR2(retrieval.model.t5(self.tokenizer.size))
        job = self.step(model).job(experiment.name, self.batches(), experiment, self.tokenizer.decode)
        params = from_weights(random_params(model, experiment.seed), retrieval.model, model.config)
        directory = self.paths.checkpoints("pretraining", fingerprint)
        say(f"pre-training {experiment.name}, {job.steps:,} steps")
        meta = train(job, params, directory)
        say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
        return model, restore_params(directory, params, on_host=True)[0]

    def step(self, model: GR2) -> RetrievalStep:
        retrieval = self.experiment.retrieval
        return RetrievalStep(
            model=model,
            objective=retrieval.objective,
            optimiser=retrieval.optimiser,
            batch=retrieval.batch,
            num_grades=self.num_grades,
            docid_length=self.docid_length,
        )

    def _export(self, model: GR2, params: dict, out: Path) -> None:
        save_t5(out / "t5", model.config, unstack_layers(params["t5"]), self.experiment.retrieval.model.weights)
        np.savez(out / "t5" / HEAD_FILE, **traverse_util.flatten_dict(params["head"], sep="/"))
        shutil.copyfile(self.paths.vocabulary / MODEL_NAME, out / "t5" / MODEL_NAME)
