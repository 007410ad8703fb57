"""Every config and overlay in configs/: it resolves, passes the checks, and its models fit on its pod. No files of
weights or collections are needed, and nothing is compiled."""

import dataclasses
import functools
import hashlib
import json
import math
import re

import jax
import numpy as np
import pytest
from config_pairs import (
    ALL,
    BASES,
    CONFIGS,
    OF_SCRATCH,
    ON_PODS,
    PAPER,
    PODS,
    VOCABULARY,
    WITHOUT_FUSION,
    Pair,
    without_weights,
)
from jax.sharding import AbstractMesh

from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment, ModelConfig, Pretraining, Settings, VocabularyConfig
from gr2_jax.experiment.loading import from_record, load_experiment, override, to_record
from gr2_jax.models import GR2, PRESETS, T5, Fusion, preset
from gr2_jax.objectives.retrieval import RetrievalObjective
from gr2_jax.pipeline.checks import check
from gr2_jax.pipeline.initial_weights import random_params
from gr2_jax.pipeline.pretraining import PretrainingRun
from gr2_jax.pipeline.rows import BASELINES, ROWS, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import SCHEMES, FusionQueries, PlainQueries
from gr2_jax.pipeline.schemes.pseudo_queries import PseudoQueries
from gr2_jax.training.mesh import AXES
from gr2_jax.training.optimiser import make_optimiser
from gr2_jax.training.partition import BATCH_AXES, MOST_UNSPLIT, place_like_params, place_params

OVERLAYS = sorted(
    str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.glob("*/*.py") if path.parent.name != "studies"
)
KINDS = {kind.__name__: kind for kind in (*ROWS, *SCHEMES)}


@functools.cache
def loaded(pair):
    return pair.load()


def without_files(experiment: Settings) -> Settings:
    """What can be checked where there are neither weights nor a vocabulary."""

    def plain(part):
        if getattr(part, "model", None) is None or part.model.weights is None:
            return part
        return dataclasses.replace(part, model=without_weights(part.model))

    if isinstance(experiment, Pretraining):
        return dataclasses.replace(experiment, vocabulary=VocabularyConfig(), retrieval=plain(experiment.retrieval))
    return dataclasses.replace(
        experiment,
        vocabulary=VocabularyConfig(),
        augmentation=dataclasses.replace(experiment.augmentation, generator=plain(experiment.augmentation.generator)),
        docids=dataclasses.replace(experiment.docids, schemes=tuple(map(plain, experiment.docids.schemes))),
        retrieval=plain(experiment.retrieval),
    )


def writers_of(experiment: Experiment) -> list[PseudoQueries]:
    """Every model that writes queries: those of docid schemes, and the generator of the augmentation."""
    given = (*experiment.docids.schemes, experiment.augmentation.generator)
    return [scheme for scheme in given if isinstance(scheme, PseudoQueries)]


def systems_of(experiment: Experiment) -> dict[str, System]:
    return {row.name: row for row in experiment.rows if isinstance(row, System)}


def fusion_of(experiment: Experiment) -> FusionQueries | None:
    return next((scheme for scheme in experiment.docids.schemes if isinstance(scheme, FusionQueries)), None)


def test_every_overlay_is_in_the_table():
    assert {overlay for pair in ALL for overlay in pair.overlays} == set(OVERLAYS)
    assert {f"pods/{pod}" for pod in PODS} == {overlay for overlay in OVERLAYS if overlay.startswith("pods/")}


@pytest.mark.parametrize("pair", ALL, ids=lambda pair: pair.id)
def test_it_resolves_and_passes_the_checks(pair, tmp_path):
    experiment = loaded(pair)
    if experiment.retrieval.model.weights is not None:
        assert experiment.vocabulary.model is not None
    if isinstance(experiment, Pretraining):
        PretrainingRun(without_files(experiment), tmp_path).check()
    else:
        check(Run(without_files(experiment), tmp_path))
        assert from_record(json.loads(json.dumps(to_record(experiment))), KINDS) == experiment
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("**/*.py")), ids=lambda path: path.stem)
def test_a_file_says_how_it_is_run(path):
    """Its own command, with files that are there, what it runs on, and whether anybody ran it."""
    text = path.read_text().split('"""')[1]
    assert str(path.relative_to(CONFIGS.parent)) in re.sub(r"\s+", " ", text)
    for named in re.findall(r"configs/[\w/]+\.py", text):
        assert (CONFIGS.parent / named).is_file()
    assert any(word in text for word in ("Hardware", "Hosts", "One process"))
    if path.stem in PAPER or path.parent != CONFIGS:
        assert re.search(r"Not\s+run\s+here|Shows that a config's stages work", text)


@functools.cache
def shapes(model: ModelConfig, latent: str | None, kind: str):
    config = without_weights(model).t5(VOCABULARY)
    tokens = np.ones((1, 2), int)
    if kind == "retrieval":
        return jax.eval_shape(lambda: random_params(GR2(config), 0))
    network = Fusion(config, latent) if kind == "fusion" else T5(config)
    return jax.eval_shape(lambda: network.init(jax.random.key(0), tokens, tokens)["params"])


def count(params) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def models_of(experiment):
    """(shapes, optimiser) of every model that the run trains."""
    retrieval = shapes(experiment.retrieval.model, None, "retrieval")
    if isinstance(experiment, Pretraining):
        yield retrieval, experiment.retrieval.optimiser
        return
    systems = systems_of(experiment).values()
    if any(objective_of(experiment, system).penalty == "learnable" for system in systems):
        retrieval = retrieval | {"penalty": jax.ShapeDtypeStruct((3,), np.float32)}
    yield retrieval, experiment.retrieval.optimiser
    for writer in writers_of(experiment):
        kind = "fusion" if isinstance(writer, FusionQueries) else "qg"
        yield shapes(writer.model, getattr(writer, "latent", None), kind), writer.optimiser


def objective_of(experiment: Experiment, system: System) -> RetrievalObjective:
    return system.objective or experiment.retrieval.objective


def mesh_of(experiment, devices):
    return AbstractMesh(experiment.mesh.sizes(devices), AXES)


@pytest.mark.parametrize("pair", ON_PODS, ids=lambda pair: pair.id)
def test_it_fits_on_its_pod(pair):
    experiment = loaded(pair)
    mesh = mesh_of(experiment, PODS[ON_PODS[pair]])
    for params, optimiser in models_of(experiment):
        shardings = place_params(params, mesh)
        state = jax.eval_shape(make_optimiser(optimiser).init, params)
        placed = place_like_params(state, params, shardings)
        assert jax.tree.structure(placed) == jax.tree.structure(state)
        held, ways = bytes_per_device(params, shardings), mesh.shape["fsdp"] * mesh.shape["tensor"]
        assert held <= 4 * count(params) * (1 / ways + MOST_UNSPLIT)
        # gradients are as large as the parameters; half of a device is left to what a layer computes
        assert 2 * held + bytes_per_device(state, placed) < MEMORY[ON_PODS[pair]] / 2


MEMORY = {"v5e_16": 16e9, "v5e_256": 16e9, "v5e_128_x2": 16e9, "v5p_128": 95e9, "a100_8": 80e9, "h100_8": 80e9}


def bytes_per_device(values, shardings) -> float:
    return sum(
        math.prod(sharding.shard_shape(value.shape)) * value.dtype.itemsize
        for value, sharding in zip(jax.tree.leaves(values), jax.tree.leaves(shardings), strict=True)
    )


@pytest.mark.parametrize("pair", ON_PODS, ids=lambda pair: pair.id)
def test_its_batches_divide(pair):
    experiment = loaded(pair)
    sizes = dict(zip(AXES, experiment.mesh.sizes(PODS[ON_PODS[pair]]), strict=True))
    parts = math.prod(sizes[axis] for axis in BATCH_AXES)
    batch = experiment.retrieval.batch
    texts = [batch.pseudo, batch.long_documents] if batch.long_documents else [batch.indexing_texts]
    rows = [count / batch.microbatches for count in (batch.queries, *texts)]
    if isinstance(experiment, Experiment):
        rows += [writer.pairs for writer in writers_of(experiment)]
    assert [count % parts for count in rows] == [0] * len(rows)


def test_a_pod_changes_where_a_run_is_computed_and_nothing_else():
    for pair in ON_PODS:
        bare = loaded(pair._replace(overlays=pair.overlays[:-1]))
        assert dataclasses.replace(loaded(pair), mesh=bare.mesh) == bare


def test_a_preset_says_what_the_weights_hold():
    for pair in ALL:
        if OF_SCRATCH in pair.overlays:
            continue  # its weights are no T5 of a preset, see below
        experiment = loaded(pair)
        writers = writers_of(experiment) if isinstance(experiment, Experiment) else []
        for model in (experiment.retrieval.model, *(writer.model for writer in writers)):
            if model.weights is not None:
                assert without_weights(model).t5(VOCABULARY) == preset(
                    model.preset, vocab_size=VOCABULARY, dtype="bfloat16", scan_layers=True, remat=model.remat
                )


def test_gr2p_from_scratch_has_the_quickstarts_shape_and_vocabulary_from_its_pretraining():
    quickstart, before = (load_experiment(CONFIGS / f"{name}.py") for name in ("quickstart", "pretraining_apidocs"))
    after = loaded(Pair("quickstart", (OF_SCRATCH,)))
    assert after.retrieval.model.weights == f"{before.workdir}/model/t5"
    assert after.vocabulary == VocabularyConfig(
        model=f"{before.workdir}/vocabulary/spiece.model", extra_ids=before.vocabulary.extra_ids
    )
    assert before.vocabulary == quickstart.vocabulary
    shapes = {without_weights(config.retrieval.model).t5(100) for config in (quickstart, before, after)}
    assert len(shapes) == 1
    assert before.docids.max_length == quickstart.docids.max_length
    assert [row.name for row in after.rows] == ["GR2P", "MLE", "GR2P-fusion", *(row.name for row in BASELINES)]
    with pytest.raises(UserError, match="starts from t5-base: this is for configs that learn from scratch"):
        Pair("robust04", (OF_SCRATCH,)).load()


@pytest.mark.parametrize(
    ("size", "millions"), [("small", 60), ("base", 223), ("large", 738), ("3b", 2852), ("11b", 11307)]
)
def test_sizes(size, millions):
    experiment = loaded(Pair("gov500k", (f"sizes/{size}",)))
    assert experiment.retrieval.model.preset == size in PRESETS
    params = shapes(experiment.retrieval.model, None, "retrieval")["t5"]
    assert count(params) == pytest.approx(millions * 1e6, rel=0.015)
    assert experiment.retrieval.optimiser.kind == ("adafactor" if size == "11b" else "adam")
    assert experiment.workdir == ("runs/gov500k" if size == "base" else f"runs/gov500k-{size}")


@pytest.mark.parametrize("config", PAPER)
def test_all_ablations_are_rows_of_one_run(config):
    rows = tuple(overlay for overlay in OVERLAYS if overlay.startswith("ablations/"))
    base, whole = loaded(Pair(config)), loaded(Pair(config, rows))
    assert whole.workdir == base.workdir
    systems = systems_of(whole)
    assert list(systems)[:2] == ["GR2S-no-negatives", "GR2S"]
    assert len(systems) == 2 + 2 * len(rows)
    assert whole.rows == (*systems.values(), *BASELINES)  # the trained rows come first
    objectives = {name: objective_of(whole, system) for name, system in systems.items()}
    assert objectives["GR2S-MLE"] == RetrievalObjective(gamma=0.0)
    assert objectives["GR2S-no-lambda"] == RetrievalObjective(penalty="equal")
    assert objectives["GR2S-no-max"] == RetrievalObjective(constraint="off")
    assert objectives["GR2S-CE"] == RetrievalObjective(graded="cross_entropy")
    assert objectives["GR2S-LR"] == RetrievalObjective(graded="lambdarank")
    assert objectives["GR2S-no-fusion"] == objectives["GR2S"] == RetrievalObjective()
    assert systems["GR2S-no-fusion"].docids == "qg"
    assert whole.docids.schemes[:-1] == base.docids.schemes
    assert isinstance(whole.docids.schemes[-1], PlainQueries)
    assert whole.docids.schemes[-1].name == "qg"
    assert sum(system.self_negatives is not None for system in systems.values()) == 1 + len(rows)
    for name, system in systems.items():
        if system.self_negatives is not None:
            assert system.self_negatives.of == f"{name}-no-negatives"
            assert objectives[name] == objectives[system.self_negatives.of]
            assert system.docids == systems[system.self_negatives.of].docids


def test_ablations_of_pretraining_change_its_objective():
    base, mle = loaded(Pair("wikipedia")), loaded(Pair("wikipedia", ("ablations/mle",)))
    objective = dataclasses.replace(base.retrieval.objective, gamma=0.0)
    assert mle.retrieval == dataclasses.replace(base.retrieval, objective=objective)
    assert (mle.name, mle.workdir) == ("wikipedia-MLE", "runs/wikipedia-MLE")


@pytest.mark.parametrize("config", PAPER)
def test_gr2p_starts_from_what_pretraining_of_its_size_leaves(config):
    for size in ((), ("sizes/large",)):
        left = loaded(Pair("wikipedia", size)).workdir
        gr2s, gr2p = loaded(Pair(config, size)), loaded(Pair(config, (*size, "variants/gr2p")))
        assert gr2p.retrieval.model == dataclasses.replace(gr2s.retrieval.model, weights=f"{left}/model/t5")
        assert gr2p.vocabulary == VocabularyConfig(model=f"{left}/vocabulary/spiece.model", extra_ids=100)
        assert [row.name for row in gr2p.rows] == ["GR2P-no-negatives", "GR2P", *(row.name for row in BASELINES)]
        assert gr2p.rows[1].self_negatives.of == "GR2P-no-negatives"
        assert gr2p.docids == gr2s.docids
        assert gr2p.workdir == f"{gr2s.workdir}-gr2p"


def test_runs_that_differ_in_more_than_rows_and_places_have_workdirs_of_their_own():
    """And within a workdir a row or a docid scheme of one name is always the same."""
    runs, named = {}, {}
    for pair in ALL:
        if pair.overlays and pair.overlays[-1].startswith("pods/"):
            continue
        experiment = loaded(pair)
        if isinstance(experiment, Experiment):
            for part in (*experiment.docids.schemes, *experiment.rows):
                assert named.setdefault((experiment.workdir, part.name), part) == part, pair.id
            docids = dataclasses.replace(experiment.docids, schemes=())
            experiment = dataclasses.replace(experiment, docids=docids, rows=())
        record = json.dumps(to_record(experiment), sort_keys=True)
        digest = hashlib.sha256(record.encode()).hexdigest()
        assert runs.setdefault(experiment.workdir, digest) == digest, pair.id


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("wikipedia", "variants/gr2p"), "variants/gr2p.py: Pretraining.rows does not exist, .* not for wikipedia"),
        (("wikipedia", "ablations/no_fusion"), "Pretraining.augmentation does not exist, .* not for wikipedia"),
        (("wikipedia", "variants/dense"), "Pretraining.rows does not exist, .* not for wikipedia"),
        (("wikipedia", "variants/no_self_negatives"), "Pretraining.rows does not exist, .* not for wikipedia"),
        (("wikipedia", "variants/generated_queries"), "Pretraining.augmentation does not exist"),
        (("wikipedia", "variants/no_pseudo_queries"), "Pretraining.augmentation does not exist"),
        (("wikipedia", "variants/chosen_radius"), "wikipedia writes no fusion docids"),
        ((WITHOUT_FUSION, "variants/no_relevance"), "variants/no_relevance.py: nq320k writes no fusion docids"),
        ((WITHOUT_FUSION, "variants/no_distinctness"), "nq320k writes no fusion docids"),
        ((WITHOUT_FUSION, "variants/chosen_radius"), "nq320k writes no fusion docids"),
        (("quickstart", "sizes/large"), "quickstart learns from scratch: this is for configs that start from a T5"),
        (("gov500k", "variants/gr2p", "sizes/large"), "sizes come first, then GR2P, each once"),
        (("gov500k", "variants/gr2p", "variants/gr2p"), "sizes come first, then GR2P, each once"),
    ],
)
def test_overlays_that_do_not_fit(words, message):
    with pytest.raises(UserError, match=message):
        load_experiment(*(CONFIGS / f"{word}.py" for word in words))


def test_overlays_go_over_any_config():
    rows = [CONFIGS / f"ablations/{name}.py" for name in ("mle", "no_fusion")]
    systems = systems_of(load_experiment(CONFIGS / "quickstart.py", rows[1]))
    assert list(systems)[-1] == "GR2S-no-fusion"
    systems = systems_of(load_experiment(CONFIGS / "cranfield.py", *rows))
    assert list(systems) == ["GR2S", "MLE", "GR2S-MLE", "GR2S-no-fusion"]


def test_low_resource_is_a_setting_of_the_corpus():
    base = loaded(Pair("robust04"))
    few = override(base, ["--corpus.training_queries", "15"])
    assert few == dataclasses.replace(base, corpus=dataclasses.replace(base.corpus, training_queries=15))
    small = override(loaded(Pair("robust04", ("variants/debug",))), ["--corpus.training_queries", "15"])
    assert small.corpus.training_queries == 15
    with pytest.raises(UserError, match="Pretraining has no field 'corpus'"):
        override(loaded(Pair("wikipedia")), ["--corpus.training_queries", "15"])


def test_there_is_a_config_for_each_of_the_papers_sets():
    sets = {name: loaded(Pair(name)) for name in BASES}
    assert [name for name in PAPER if sets[name].corpus.folds] == ["gov500k", "clueweb500k", "robust04"]
    fusions = {name: fusion for name in PAPER if (fusion := fusion_of(sets[name]))}
    graded, binary = dict.fromkeys(PAPER[:3], 2.0), {"ms500k": 1.5}  # nq320k writes titles
    assert {name: fusion.radius for name, fusion in fusions.items()} == graded | binary
    for name in PAPER:
        retrieval = sets[name].retrieval
        assert (retrieval.optimiser.steps, retrieval.optimiser.learning_rate) == (50_000, 5e-5)
        assert retrieval.optimiser.warmup_steps == retrieval.optimiser.steps // 10
        assert (retrieval.objective.gamma, retrieval.objective.label_smoothing) == (1.0, 0.1)
        assert sets[name].evaluation.beams == 20
        (scheme,) = sets[name].docids.schemes
        assert scheme.name == ("title" if name == "nq320k" else "fusion")
        assert {row.docids for row in systems_of(sets[name]).values()} == {scheme.name}
        assert name not in fusions or (fusions[name].objective.alpha, fusions[name].objective.beta) == (1.0, 30.0)
