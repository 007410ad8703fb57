"""Checks across the sections of an experiment, before the first stage."""

from gr2_jax.buckets import local_copy
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.errors import UserError
from gr2_jax.models import preset
from gr2_jax.pipeline.prepare import models_of
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.texts import DOCUMENT_LENGTH, QUERY_LENGTH
from gr2_jax.pipeline.workers import asked_for


def check(run: Run) -> None:
    """Raises `UserError` for the first combination of settings that cannot work."""
    experiment = run.experiment
    batch, retrieval = experiment.retrieval.batch, experiment.retrieval
    asked_for()  # refuses what GR2_WORKERS cannot be
    if batch.length > QUERY_LENGTH:
        raise UserError(f"--retrieval.batch.length is {batch.length}: the examples hold {QUERY_LENGTH} tokens")
    if batch.document_length > DOCUMENT_LENGTH:
        raise UserError(
            f"--retrieval.batch.document_length is {batch.document_length}: the examples hold {DOCUMENT_LENGTH} tokens "
            "of a document"
        )
    if experiment.vocabulary.extra_ids < SUFFIX_DIGITS:
        raise UserError(
            f"--vocabulary.extra_ids is {experiment.vocabulary.extra_ids}: it must be at least {SUFFIX_DIGITS}, the "
            "digits of the suffixes that tell equal docids apart"
        )
    if retrieval.evaluate_every and not experiment.corpus.validates:
        raise UserError("--retrieval.evaluate_every needs validation queries: --corpus.validation_queries is 0")
    if experiment.evaluation.weights and not experiment.corpus.validates:
        raise UserError("--evaluation.weights needs validation queries: --corpus.validation_queries is 0")
    _check_models(run)
    generator, generated = generator_of(experiment), experiment.augmentation.generated
    if generator is not None and generated > generator.beams:
        raise UserError(
            f"--augmentation.generated is {generated}: at most {generator.beams}, the beams of its generator, can be "
            "generated"
        )
    for scheme in experiment.docids.schemes:
        scheme.check(run)
    for row in run.rows:
        row.check(run)


def _check_models(run: Run) -> None:
    models = models_of(run.experiment)
    for place, model in models.items():
        if model.weights is not None:
            check_weights(run.experiment.vocabulary, place, model)
    if len({preset(model.preset).d_model for model in models.values() if model.starts_from_lsa}) > 1:
        places = ", ".join(f"{place}.model.preset" for place, model in models.items() if model.starts_from_lsa)
        raise UserError(f"{places} must have the same width: all start from the same LSA vectors")


def check_weights(vocabulary, place: str, model) -> None:
    """Raises `UserError` where the rows of a model's weights would not be numbered by the vocabulary."""
    if vocabulary.model is None:
        raise UserError(
            f"--{place}.model.weights need --vocabulary.model, the SentencePiece file that numbers their rows"
        )
    vocabulary.content()
    model.t5(Tokenizer(local_copy(vocabulary.model), extra_ids=vocabulary.extra_ids).size)
