"""Studies: their points are those of a plain loop over the axes, and what cannot be is refused in one sentence."""

import dataclasses
from pathlib import Path

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import Experiment, RetrievalConfig, RetrievalObjective
from gr2_jax.experiment.loading import load_experiment, override
from gr2_jax.experiment.study import BASE, Changes, Pair, Rows, Setting, Study
from gr2_jax.experiment.study_file import load_study
from gr2_jax.pipeline.rows import BM25Row, LSARow, System
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.study.plan import checked, lines, planned
from gr2_jax.recipes.overlays import debug, with_objective

CONFIGS = Path(__file__).parents[2] / "configs"
PAPER = ("gov500k", "clueweb500k", "robust04", "ms500k", "nq320k")

TAU, GAMMA = "retrieval.objective.temperature", "retrieval.objective.gamma"
BASE_EXPERIMENT = load_experiment(CONFIGS / "quickstart.py")
STUDIES = sorted(path.stem for path in (CONFIGS / "studies").glob("*.py"))


def study(*axes, **changes):
    return Study(name="s", base=BASE_EXPERIMENT, axes=axes, **changes)


def over(*axes, **changes):
    return study(*axes, **changes).over(BASE_EXPERIMENT)


def points_of(found):
    return {point.name: point.experiment for point in found.over(found.base).points}


def test_points_are_those_of_a_plain_loop_with_equal_experiments_once():
    taus, gammas = (0.02, 0.05), (0.5, 1.0)  # the base has .02 and 1
    found = study(
        Setting("tau", TAU, taus),
        Setting("gamma", GAMMA, gammas),
        Pair("both", Setting("tau", TAU, taus), Setting("gamma", GAMMA, gammas)),
    )
    loop = {BASE: BASE_EXPERIMENT}
    loop |= {f"tau={tau}": override(BASE_EXPERIMENT, [f"--{TAU}", str(tau)]) for tau in taus}
    loop |= {f"gamma={gamma}": override(BASE_EXPERIMENT, [f"--{GAMMA}", str(gamma)]) for gamma in gammas}
    loop |= {
        f"tau={tau},gamma={gamma}": override(BASE_EXPERIMENT, [f"--{TAU}", str(tau), f"--{GAMMA}", str(gamma)])
        for tau in taus
        for gamma in gammas
    }
    different = {}
    for name, experiment in loop.items():
        if experiment not in different.values():
            different[name] = experiment
    assert points_of(found) == different
    assert list(different) == ["base", "tau=0.05", "gamma=0.5", "tau=0.05,gamma=0.5"]


def test_the_base_lies_on_an_axis_of_numbers_at_its_own_value():
    places = study(Setting("tau", TAU, (0.05, 0.01))).over(BASE_EXPERIMENT).places["tau"]
    assert [(place.point, place.number) for place in places] == [("tau=0.01", 0.01), ("base", 0.02), ("tau=0.05", 0.05)]
    also = Setting("w", "evaluation.weight", (1.0, 2.0), also={"evaluation.weights": ()})
    points = study(also).over(BASE_EXPERIMENT)
    assert [place.point for place in points.places["w"]] == ["w=1.0", "w=2.0"]
    assert [point.experiment.evaluation.weights for point in points.points] == [(0.5, 1.0, 2.0, 3.0, 5.0), (), ()]


def test_rows_are_rows_of_one_point():
    found = study(Rows("objective", (lambda e: with_objective(e, "CE", graded="cross_entropy"),)))
    (point,) = found.over(found.base).points
    assert [row.name for row in point.experiment.rows][:4] == ["GR2S", "MLE", "GR2S-fusion", "GR2S-CE"]


def test_an_overlay_that_only_renames_is_the_base_and_points_keep_its_name():
    found = study(Changes("change", {"renamed": lambda e: e.renamed("x"), "small": debug}))
    points = found.over(found.base)
    assert [point.name for point in points.points] == ["base", "change=small"]
    assert {(point.experiment.name, point.experiment.workdir) for point in points.points} == {
        ("quickstart", "runs/quickstart")
    }


def test_another_reference_makes_no_point_of_the_base():
    found = study(Setting("tau", TAU, (0.05, 0.1)), reference="tau=0.1")
    assert list(points_of(found)) == ["tau=0.05", "tau=0.1"]


def test_an_optional_axis_is_left_out_where_the_base_has_no_such_scheme():
    axis = Setting("alpha", "docids.schemes.fusion.objective.alpha", (0.0, 2.0), optional=True)
    assert study(axis, Setting("tau", TAU, (0.05,))).over(BASE_EXPERIMENT).left_out == ()
    without = dataclasses.replace(
        BASE_EXPERIMENT,
        rows=BASE_EXPERIMENT.rows[:2],
        docids=dataclasses.replace(BASE_EXPERIMENT.docids, schemes=BASE_EXPERIMENT.docids.schemes[:1]),
    )
    points = study(axis, Setting("tau", TAU, (0.05,))).over(without)
    assert (points.left_out, list(points.places)) == (("alpha",), ["tau"])


def _rowless(experiment: Experiment):
    return dataclasses.replace(experiment, rows=(BM25Row(), LSARow()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Setting("tau", TAU, ()), r"Setting.given is \(\): give one or more"),
        (lambda: Setting("tau", TAU, (0.1, 0.1)), r"Setting.given of tau has 0.1 twice"),
        (lambda: Setting("a b", TAU, (0.1,)), r"Setting.name is 'a b': use letters"),
        (
            lambda: over(Setting("t", TAU, (0.0,))),
            r"axis t: --retrieval.objective.temperature is 0",
        ),
        (
            lambda: over(Setting("t", "retrieval.tau", (1,))),
            r"axis t: --retrieval.tau: .* no field",
        ),
        (
            lambda: over(Setting("t", TAU, ("x",))),
            r"axis t: .* is 'x', which is not a value of type",
        ),
        (
            lambda: over(Changes("c", {"none": lambda e: None})),
            r"none: the overlay must return an",
        ),
        (lambda: study(), r"Study.axes is \(\): give one or more"),
        (lambda: study(Setting("t", TAU, (1.0,)), Setting("t", GAMMA, (1.0,))), r"two axes named 't'"),
        (
            lambda: over(Setting("t", TAU, (1.0,)), reference="t=2"),
            r"no point: did you mean 't=1.0'",
        ),
        (
            lambda: over(Setting("t", TAU, (1.0,)), rows=("GR2",)),
            r"Study.rows has 'GR2', .*'GR2S'",
        ),
        (
            lambda: over(Setting("t", TAU, (1.0,)), reference_row="GR2"),
            r"Study.reference_row has 'GR2', .*'GR2S'",
        ),
        (lambda: Study(name="s", base=None, axes=()), r"Study.base is a NoneType"),
        (lambda: load_study(CONFIGS / "quickstart.py"), r"quickstart.py is a config, not a study: give it as --base"),
        (lambda: load_study(CONFIGS / "sizes/base.py"), r"base.py defines no `study = Study"),
        (lambda: load_study(CONFIGS / "studies/ablatoin.py"), r"there is no config file .*did you mean 'ablation.py'"),
        (lambda: load_experiment(CONFIGS / "studies/ablation.py"), r"ablation.py is a study: gr2 study "),
        (
            lambda: load_study(CONFIGS / "studies/ablation.py").over(_rowless(BASE_EXPERIMENT)),
            "ablation: quickstart trains no row that writes docids",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(make, message):
    with pytest.raises(UserError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


def without_files(experiment: Experiment) -> Experiment:
    """With models from scratch and a vocabulary to be learnt, for the checks."""
    model = dataclasses.replace(experiment.retrieval.model, weights=None)
    schemes = tuple(
        dataclasses.replace(s, model=dataclasses.replace(s.model, weights=None)) if hasattr(s, "model") else s
        for s in experiment.docids.schemes
    )
    return dataclasses.replace(
        experiment,
        retrieval=dataclasses.replace(experiment.retrieval, model=model),
        docids=dataclasses.replace(experiment.docids, schemes=schemes),
        vocabulary=dataclasses.replace(experiment.vocabulary, model=None),
    )


@pytest.mark.parametrize("base", [None, *PAPER, "cranfield", "baselines"])
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_resolves_over_every_config_and_passes_the_checks(name, base, tmp_path):
    found = load_study(CONFIGS / f"studies/{name}.py")
    experiment = found.base if base is None else load_experiment(CONFIGS / f"{base}.py")
    if (
        name == "scale"
        and base is not None
        and experiment.corpus.source != "apidocs"
        and not experiment.corpus.documents
    ):
        with pytest.raises(UserError, match=r"has no number corpus\.documents .*: give --corpus\.documents"):
            found.over(experiment)
        experiment = override(experiment, ["--corpus.documents", "1000"])
    points = found.over(experiment)
    plan = planned(points)
    assert plan[points.points[0].name].own
    assert all(training.steps > 0 for one in plan.values() for training in one.own)
    total = lines(points, plan, (0, 1), experiment.corpus.folds)[-1]
    assert total.endswith("2 seeds and 5 folds" if experiment.corpus.folds else "2 seeds")
    bare = tuple(point._replace(experiment=without_files(point.experiment)) for point in points.points)
    checked(points._replace(points=bare), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_likelihoods_ranking_trains_nothing():
    for base in ("quickstart", "robust04", "cranfield"):
        points = load_study(CONFIGS / "studies/ablation.py").over(load_experiment(CONFIGS / f"{base}.py"))
        plan = planned(points)
        assert not plan["ranking=likelihood"].own
        (point,) = (point for point in points.points if point.name == "ranking=likelihood")
        assert point.experiment.evaluation.ranking == "likelihood"


@pytest.mark.parametrize(("base", "method"), [("quickstart", ["GR2S"]), ("robust04", ["GR2S-no-negatives", "GR2S"])])
def test_full_ranking_trains_the_method_and_a_model_that_writes_whole_queries(base, method):
    experiment = load_experiment(CONFIGS / f"{base}.py")
    points = load_study(CONFIGS / "studies/full_ranking.py").over(experiment)
    (point,) = points.points
    assert [row.name for row in point.experiment.rows] == [*method, "BM25", "GR2S-reranked", "BM25-reranked"]
    assert [row.row for row in point.experiment.rows[-2:]] == [points.against, "BM25"] == ["GR2S", "BM25"]
    assert [training.of for training in planned(points)[BASE].own][-len(method) - 1 :] == ["docids queries", *method]
    generator = point.experiment.docids.schemes[-1]
    assert generator.max_length == experiment.retrieval.batch.length > experiment.docids.max_length


@pytest.mark.parametrize("base", ["quickstart", "robust04"])
def test_the_vectors_of_losses_are_compared_over_long_lists(base):
    points = load_study(CONFIGS / "studies/embedding.py").over(load_experiment(CONFIGS / f"{base}.py"))
    (point,) = points.points
    rows = [row.name for row in point.experiment.rows if not row.name.endswith("no-negatives")]
    assert rows == ["GR2S", "GR2S-no-lambda", "GR2S-no-max", "GR2S-MLE", "GR2S-SupCon", "BM25", "Dense"]
    assert (points.against, point.experiment.evaluation.measures) == ("GR2S", ("nDCG@20",))
    assert all(row.depth(Run(point.experiment, Path("nowhere"))) >= 100 for row in point.experiment.rows)


def test_the_ablations_are_of_the_papers_loss_also_over_a_config_with_another():
    assert BASE_EXPERIMENT.retrieval.objective.penalty == "equal"
    own, *_ = load_study(CONFIGS / "studies/ablation.py").over(BASE_EXPERIMENT).points
    method, without_penalty, *_ = own.experiment.rows
    assert own.experiment.retrieval.objective.penalty == "rank"
    assert method.objective is None
    assert without_penalty.name == "GR2S-no-lambda"
    assert without_penalty.objective.penalty == "equal"


def test_settings_of_a_search_train_nothing_in_the_study_of_sensitivity():
    points = load_study(CONFIGS / "studies/sensitivity.py").over(BASE_EXPERIMENT)
    plan = planned(points)
    searches = [name for name in plan if name.startswith(("w=", "beams=")) or ",w=" in name]
    assert len(searches) == 14
    assert not any(plan[name].own for name in searches)
    assert [training.of for training in plan["radius=0.4"].own] == ["GR2S-fusion"]
    assert [training.of for training in plan["mu=0.5"].own] == ["GR2S-fusion"]
    assert [training.of for training in plan["beta=0.0"].own] == ["docids fusion", "GR2S-fusion"]


def test_rows_with_an_objective_of_their_own_follow_an_axis():
    rows = (System("GR2S", "title"), System("CE", "title", RetrievalObjective(graded="cross_entropy")))
    base = dataclasses.replace(BASE_EXPERIMENT, rows=rows, retrieval=RetrievalConfig())
    (_, point) = study(Setting("tau", TAU, (0.05,))).over(base).points
    assert point.experiment.rows[1].objective.temperature == 0.05
