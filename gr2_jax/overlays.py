"""Functions from one experiment to another, of which the overlays in configs/ are made."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from gr2_jax.config import Experiment, ModelConfig, Pretraining, System, VocabularyConfig
from gr2_jax.errors import UserError
from gr2_jax.models import preset
from gr2_jax.quickstart import TINY
from gr2_jax.training.mesh import MeshConfig

Settings = TypeVar("Settings", Experiment, Pretraining)
_WIDE = ("3b", "11b")


def renamed(settings: Settings, word: str) -> Settings:
    """With `-word` after its name and its workdir: another run, beside the first."""
    return dataclasses.replace(settings, name=f"{settings.name}-{word}", workdir=f"{settings.workdir}-{word}")


def fine_tuning(settings: Experiment | Pretraining, why: str) -> Experiment:
    """The settings, where they are an experiment's; raises `UserError` with the reason for pre-training's."""
    if isinstance(settings, Experiment):
        return settings
    raise UserError(f"{settings.name} is pre-training, {why}")


def with_objective(settings: Settings, word: str, objective: Mapping[str, Any]) -> Settings:
    """An experiment with another row, `<first row>-word`, that changes the first's objective by this, and with the same
    fine-tuned against self-negatives where the first is. Pre-training is itself changed and renamed."""
    if isinstance(settings, Pretraining):
        return renamed(
            dataclasses.replace(settings, objective=dataclasses.replace(settings.objective, **objective)), word
        )
    first = settings.retrieval.systems[0]
    return _with_rows(settings, word, {**first.objective, **objective}, first.docids)


def with_docids(settings: Experiment | Pretraining, word: str, scheme: str) -> Experiment:
    """With another row, `<first row>-word`, that writes docids of `scheme`; else as `with_objective`."""
    experiment = fine_tuning(settings, "which writes titles and no other docids")
    schemes = tuple(dict.fromkeys((*experiment.docids.schemes, scheme)))
    experiment = dataclasses.replace(experiment, docids=dataclasses.replace(experiment.docids, schemes=schemes))
    return _with_rows(experiment, word, dict(experiment.retrieval.systems[0].objective), scheme)


def _with_rows(experiment: Experiment, word: str, objective: dict[str, Any], scheme: str) -> Experiment:
    systems = experiment.retrieval.systems
    first, name = systems[0], f"{systems[0].name}-{word}"
    rows = [System(name, scheme, objective, first.steps)]
    rows += [
        System(f"{name}{s.name.removeprefix(first.name)}", scheme, objective, s.steps, self_negatives_of=name)
        for s in systems
        if s.self_negatives_of == first.name
    ]
    retrieval = dataclasses.replace(experiment.retrieval, systems=(*systems, *rows))
    return dataclasses.replace(experiment, retrieval=retrieval)


def with_batch(settings: Settings, **changes: Any) -> Settings:
    """With another retrieval batch: fields of `gr2_jax.config.BatchConfig`."""
    if isinstance(settings, Pretraining):
        return dataclasses.replace(settings, batch=dataclasses.replace(settings.batch, **changes))
    batch = dataclasses.replace(settings.retrieval.batch, **changes)
    return dataclasses.replace(settings, retrieval=dataclasses.replace(settings.retrieval, batch=batch))


def few_queries(settings: Experiment | Pretraining, count: int) -> Experiment:
    """Low resource: so many of the training queries, in a run of its own."""
    experiment = fine_tuning(settings, "which has no split of queries")
    corpus = dataclasses.replace(experiment.corpus, training_queries=count)
    return renamed(dataclasses.replace(experiment, corpus=corpus), f"{count}-queries")


def from_pretraining(settings: Experiment | Pretraining) -> Experiment:
    """GR2P: starts from what configs/wikipedia.py leaves, at the experiment's own size; GR2S in a row's name becomes
    GR2P."""
    experiment = fine_tuning(settings, "and GR2P starts from what it leaves")
    model = _trained(experiment).preset
    left = "runs/wikipedia" if model == "base" else f"runs/wikipedia-{model}"
    systems = tuple(_renamed_row(system) for system in experiment.retrieval.systems)
    retrieval = dataclasses.replace(
        experiment.retrieval,
        model=dataclasses.replace(experiment.retrieval.model, weights=f"{left}/model/t5"),
        systems=systems,
    )
    vocabulary = VocabularyConfig(model=f"{left}/vocabulary/spiece.model", extra_ids=100)
    return renamed(dataclasses.replace(experiment, retrieval=retrieval, vocabulary=vocabulary), "gr2p")


def _renamed_row(system: System) -> System:
    def name(old: str | None) -> str | None:
        return "GR2P" + old.removeprefix("GR2S") if old is not None and old.startswith("GR2S") else old

    return dataclasses.replace(system, name=name(system.name), self_negatives_of=name(system.self_negatives_of))


def _trained(settings: Experiment | Pretraining) -> ModelConfig:
    """The retrieval model, whose weights are those of a T5 of its preset's size."""
    model = settings.model if isinstance(settings, Pretraining) else settings.retrieval.model
    if model.weights is None:
        raise UserError(f"{settings.name} learns from scratch: this is for configs that start from a T5")
    if model.weights != f"t5-{model.preset}":
        raise UserError(
            f"{settings.name} starts from {model.weights}, which is not t5-{model.preset}: sizes come first, then "
            "GR2P, each once"
        )
    return model


def sized(settings: Settings, size: str) -> Settings:
    """The retrieval model as a T5 1.0 of another size, from `t5-<size>` (`gr2 convert google-t5/t5-<size> t5-<size>`);
    the docid model stays. From 3b on layers are computed again in the backward pass, and 11b is trained by Adafactor,
    which keeps no second copy of the parameters, at T5's own rate for it."""
    shape, old = preset(size), _trained(settings)
    model = dataclasses.replace(
        old,
        preset=size,
        num_encoder_layers=shape.num_encoder_layers,
        num_decoder_layers=shape.num_decoder_layers,
        weights=f"t5-{size}",
        remat="full" if size in _WIDE else old.remat,
    )
    vocabulary = VocabularyConfig(model=f"t5-{size}/spiece.model", extra_ids=100)
    changes: dict[str, Any] = {"kind": "adafactor", "learning_rate": 1e-3} if size == "11b" else {}
    if isinstance(settings, Pretraining):
        optimiser = dataclasses.replace(settings.optimiser, **changes)
        settings = dataclasses.replace(settings, model=model, optimiser=optimiser, vocabulary=vocabulary)
    else:
        retrieval = settings.retrieval
        rate = changes.get("learning_rate", retrieval.self_negatives.learning_rate)
        retrieval = dataclasses.replace(
            retrieval,
            model=model,
            optimiser=dataclasses.replace(retrieval.optimiser, **changes),
            self_negatives=dataclasses.replace(retrieval.self_negatives, learning_rate=rate),
        )
        settings = dataclasses.replace(settings, retrieval=retrieval, vocabulary=vocabulary)
    return settings if size == old.preset else renamed(settings, size)


def on_mesh(settings: Settings, mesh: MeshConfig, *, wide: MeshConfig | None = None) -> Settings:
    """On this mesh, or on `wide` where the retrieval model is a 3b or 11b: a pod changes where a run is computed, not
    what."""
    model = settings.model if isinstance(settings, Pretraining) else settings.retrieval.model
    return dataclasses.replace(settings, mesh=wide if wide is not None and model.preset in _WIDE else mesh)


def debug(settings: Settings) -> Settings:
    """The same rows and objectives in a minute or two on a laptop: a tiny model from scratch, few steps, and numpy's
    documentation in the place of the collection (pre-training keeps its sources)."""
    if isinstance(settings, Pretraining):
        small = with_batch(
            settings, queries=16, docids=4, documents=32, length=32, shortest_span=6, longest_span=24, microbatches=1
        )
        small = dataclasses.replace(
            small,
            vocabulary=VocabularyConfig(size=4000, characters=1_000_000),
            model=ModelConfig(lsa_start=False, num_encoder_layers=1),
            optimiser=dataclasses.replace(TINY.retrieval.optimiser, learning_rate=3e-3),
            document_length=128,
            mesh=MeshConfig(),
        )
        return renamed(small, "debug")
    batch, few = settings.retrieval.batch, settings.corpus.training_queries
    few_steps = dataclasses.replace(settings.retrieval.self_negatives, steps=20, learning_rate=1e-3)
    small = dataclasses.replace(
        settings,
        corpus=dataclasses.replace(TINY.corpus, training_queries=few),
        vocabulary=TINY.vocabulary,
        docids=dataclasses.replace(settings.docids, max_length=TINY.docids.max_length),
        fusion=dataclasses.replace(
            settings.fusion,
            model=TINY.fusion.model,
            optimiser=TINY.fusion.optimiser,
            pairs=64,
            document_length=TINY.fusion.document_length,
            beams=max(TINY.fusion.beams, batch.generated),
        ),
        retrieval=dataclasses.replace(
            settings.retrieval,
            model=TINY.retrieval.model,
            optimiser=TINY.retrieval.optimiser,
            self_negatives=few_steps,
        ),
        mesh=MeshConfig(),
    )
    of_tiny = {name: getattr(TINY.retrieval.batch, name) for name in ("length", "shortest_span", "longest_span")}
    return renamed(with_batch(small, queries=32, documents=64, docids=min(batch.docids, 2), **of_tiny), "debug")
