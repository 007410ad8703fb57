"""Pre-training on graded pairs (GR2P): what `gr2 wikipedia` left goes in, weights to fine-tune from come out.

Four stages under the workdir: vocabulary/, examples/ (tokenised, in files with random access), checkpoints/ and
model/t5, which `ModelConfig.weights` names. Memory does not grow with the sources.
"""

import dataclasses
import hashlib
import itertools
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gr2_jax.config import Pretraining
from gr2_jax.corpus.wikipedia.reader import wikipedia_documents, wikipedia_files, wikipedia_fingerprint
from gr2_jax.data.batches import BatchShape, GradedBatches
from gr2_jax.data.example_files import ExampleFiles
from gr2_jax.data.lazy import libraries
from gr2_jax.data.materialise import materialise_files
from gr2_jax.data.order import Examples, Mixture
from gr2_jax.data.tasks import TaskOptions, register_tasks
from gr2_jax.data.vocabulary import MODEL_NAME, Tokenizer, read_vocabulary, train_vocabulary
from gr2_jax.errors import UserError
from gr2_jax.models import GR2, save_t5, unstack_layers
from gr2_jax.pipeline.semantics import HEAD_FILE, starting_params, weights_fingerprint
from gr2_jax.pipeline.trained import initial_params
from gr2_jax.progress import say
from gr2_jax.training.checkpoints import restore_params
from gr2_jax.training.flops import training_flops
from gr2_jax.training.loop import Plan, train
from gr2_jax.training.objectives import retrieval_loss
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.workdir import Workdir, digest, is_done, run_stage

_ROLES = {"pairs": "pairs", "titles": "documents"}  # seqio's tasks, and what they read of a source
_GRADES = 4
_ROWS = 1 << 27  # a wiki's page ids lie below: the rows of the next source begin there


def pretrain(config: Pretraining, workdir: Workdir, *, until: str = "train") -> Path | None:
    """Brings the run up to the stage `until` ("prepare" or "train"), doing only what is not yet done; returns the
    directory of the weights, which is also there when a run is asked for again."""
    check_pretraining(config)
    workdir.create()
    examples = _prepare(config, workdir)
    if until == "prepare":
        return None
    trained = digest([examples, weights_fingerprint(config.model), _what_training_is(config)])
    if not is_done(workdir.root / "model", trained):
        model, params = _train(config, workdir, trained)
        run_stage(workdir.root / "model", trained, partial(_export, config, workdir, model, params))
    return workdir.root / "model" / "t5"


def _what_training_is(config: Pretraining) -> list:
    """The settings that decide the weights, beside the examples: names, places and time are not among them."""
    rates = [source.rate for source in config.sources]
    model = dataclasses.replace(config.model, weights=None)
    return [config.seed, rates, model, config.optimiser, config.objective, config.batch]


def check_pretraining(config: Pretraining) -> None:
    """Raises `UserError` for settings that cannot work."""
    if not config.sources:
        raise UserError("pre-training needs sources: sources=(GradedPairs('DIR'),), where `gr2 wikipedia --output DIR`")
    if len(config.sources) > 15:
        raise UserError(f"pre-training mixes at most 15 sources, not {len(config.sources)}")
    bad = next((source for source in config.sources if not source.rate > 0), None)
    if bad is not None:
        raise UserError(f"the rate of {bad.directory} is {bad.rate}: it must be above 0")
    if config.batch.pseudo_share:
        raise UserError("pre-training has no augmentation: batch.pseudo_share must be 0")
    if config.model.starts_from_lsa:
        raise UserError("pre-training has no LSA start, which needs a corpus in memory: model.lsa_start=False")
    if config.model.weights is not None and config.vocabulary.model is None:
        raise UserError("model.weights need vocabulary.model, the SentencePiece file that their rows are numbered by")
    if config.batch.docids > config.judged:
        raise UserError(f"batch.docids is {config.batch.docids}, and only judged={config.judged} of a query are kept")
    if config.objective.penalty == "learnable":
        raise UserError("a learnable penalty is for fine-tuning: choose another penalty for pre-training")


def _prepare(config: Pretraining, workdir: Workdir) -> str:
    sources = [wikipedia_fingerprint(source.directory) for source in config.sources]
    given = config.vocabulary.model
    content = None if given is None else hashlib.sha256(read_vocabulary(Path(given))).hexdigest()
    vocabulary = digest([sources, config.vocabulary, content])
    run_stage(workdir.vocabulary, vocabulary, partial(_build_vocabulary, config))
    examples = digest([vocabulary, config.judged, config.docid_length, config.document_length, config.batch.length])
    for i, role in itertools.product(range(len(config.sources)), _ROLES):
        build = partial(_build_examples, config, workdir, i, role)
        run_stage(_examples_of(workdir, i, role), digest([examples, i, role]), build)
    return examples


def _build_vocabulary(config: Pretraining, out: Path) -> None:
    if config.vocabulary.model is not None:
        (out / MODEL_NAME).write_bytes(read_vocabulary(Path(config.vocabulary.model)))
        return
    say(f"learning a vocabulary of {config.vocabulary.size:,} pieces")
    train_vocabulary(_vocabulary_texts(config), out / MODEL_NAME, size=config.vocabulary.size)


def _vocabulary_texts(config: Pretraining) -> Iterator[str]:
    """Titles and leading paragraphs of articles, in the files' order (which is that of a hash), up to `characters`."""
    left = config.vocabulary.characters
    streams = [wikipedia_documents(source.directory) for source in config.sources]
    for document in itertools.chain.from_iterable(itertools.zip_longest(*streams)):
        if document is None:
            continue
        for text in (document.title, *document.text.split("\n\n")[:3]):
            yield text
            left -= len(text)
        if left <= 0:
            return


def _examples_of(workdir: Workdir, source: int, role: str) -> Path:
    return workdir.examples / f"{source}-{role}"


def _build_examples(config: Pretraining, workdir: Workdir, i: int, role: str, out: Path) -> None:
    directory = config.sources[i].directory
    say(f"tokenising {_ROLES[role]} of {directory}")
    options = TaskOptions(
        workdir.vocabulary / MODEL_NAME, config.vocabulary.extra_ids, docid_length=config.docid_length
    )
    (name, *_) = register_tasks(f"{_word(config.name)}_{i}", {role: wikipedia_files(directory, _ROLES[role])}, options)
    task = libraries().seqio.TaskRegistry.get(name)
    length = config.document_length if role == "titles" else config.batch.length
    count = materialise_files(task, out / "files", length=length, judged=config.judged, shards=config.shards)
    if not count:
        raise UserError(f"{directory} holds no {_ROLES[role]} to train on")


def _word(name: str) -> str:
    """The name as seqio's tasks may be called."""
    return re.sub(r"\W", "_", name)


def pretraining_batches(config: Pretraining, workdir: Workdir) -> GradedBatches:
    """Batches of the run's tokenised examples, with the docids in them."""
    batch = config.batch
    shape = BatchShape(
        queries=batch.queries,
        docids=batch.docids,
        documents=batch.documents,
        pseudo_share=0.0,
        span=(batch.shortest_span, batch.longest_span),
        length=batch.length,
        eos=config.model.input_end,
    )
    documents = _source(config, workdir, "titles", config.document_length)
    return GradedBatches(_source(config, workdir, "pairs", batch.length), documents, documents, shape, config.seed)


def _source(config: Pretraining, workdir: Workdir, role: str, length: int) -> Examples:
    judged = config.judged if role == "pairs" else 1
    files = [
        ExampleFiles.open(
            _examples_of(workdir, i, role) / "files", length=length, judged=judged, docid_length=config.docid_length
        )
        for i in range(len(config.sources))
    ]
    if len(files) == 1:
        return files[0]
    return Mixture(files, [s.rate for s in config.sources], [i * _ROWS for i in range(len(files))])


def _train(config: Pretraining, workdir: Workdir, fingerprint: str) -> tuple[GR2, dict]:
    """Every process takes part, and gets the parameters."""
    tokenizer = Tokenizer(workdir.vocabulary / MODEL_NAME, extra_ids=config.vocabulary.extra_ids)
    model = GR2(config.model.t5(tokenizer.size))
    plan = _plan(config, workdir, model)
    params = starting_params(initial_params(model, config.seed), config.model, model.config, workdir)
    directory = workdir.checkpoints(f"pretraining-{fingerprint}")
    say(f"pre-training {config.name}, {plan.steps:,} steps on {jax.device_count()} devices")
    meta = train(plan, params, directory)
    say(f"  {meta['seconds']:.0f} s, last loss {meta['loss']:.3f}")
    return model, restore_params(directory, params, on_host=True)[0]


def _export(config: Pretraining, workdir: Workdir, model: GR2, params: dict, out: Path) -> None:
    save_t5(out / "t5", model.config, unstack_layers(params["t5"]), config.model.weights)
    np.savez(out / "t5" / HEAD_FILE, **traverse_util.flatten_dict(params["head"], sep="/"))
    shutil.copyfile(workdir.vocabulary / MODEL_NAME, out / "t5" / MODEL_NAME)


def _plan(config: Pretraining, workdir: Workdir, model: GR2) -> Plan:
    loss = partial(
        retrieval_loss,
        model=model,
        objective=config.objective,
        docid_table=None,
        target_columns=jnp.arange(model.config.vocab_size),
        num_grades=_GRADES,
        microbatches=config.batch.microbatches,
    )
    return Plan(
        label=config.name,
        loss=loss,
        batches=pretraining_batches(config, workdir),
        optimiser=make_optimiser(**vars(config.optimiser)),
        steps=config.optimiser.steps,
        seed=config.seed,
        mesh=config.mesh,
        loop=config.loop,
        query=Tokenizer(workdir.vocabulary / MODEL_NAME, extra_ids=config.vocabulary.extra_ids).decode,
        flops=training_flops(model.config, config.batch.step_shape(config.docid_length, model.config.vocab_size)),
    )
