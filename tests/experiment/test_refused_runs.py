"""Settings that cannot work end `gr2 run` with code 2 and one sentence before the first stage writes anything."""

import pytest

from gr2_jax.cli import main

CONFIG = """
from gr2_jax.experiment import CorpusConfig, DocidConfig, Experiment
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System, ViewsRow
from gr2_jax.pipeline.schemes import ResidualCodes, Titles

experiment = Experiment(
    name="small",
    workdir={workdir!r},
    corpus=CorpusConfig("apidocs:numpy"),
    docids=DocidConfig(schemes=(Titles(), ResidualCodes())),
    rows=(
        System("GR2S", "title"),
        System("codes", "rq"),
        System("GR2S-negatives", "title", self_negatives=SelfNegatives("GR2S")),
        ViewsRow("both", ("GR2S", "codes")),
        *BASELINES,
    ),
)
"""


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """Runs the config with these settings, which must be refused, and returns the sentence."""
    (tmp_path / "small.py").write_text(CONFIG.format(workdir=str(tmp_path / "run")))

    def forbidden(*arguments):
        raise AssertionError("a stage began")

    monkeypatch.setattr("gr2_jax.pipeline.stages.prepare", forbidden)

    def call(*settings):
        with pytest.raises(SystemExit) as stop:
            main(["run", str(tmp_path / "small.py"), *settings])
        printed = capsys.readouterr()
        assert (stop.value.code, printed.out) == (2, "")
        assert printed.err.startswith("gr2: ")
        assert printed.err.count("\n") == 1
        run = tmp_path / "run"
        assert not run.exists() or not list(run.iterdir())
        return printed.err.removeprefix("gr2: ").rstrip()

    return call


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--evaluation.exact", "adaptve"], "--evaluation.exact is 'adaptve': did you mean 'adaptive'?"),
        (["--evaluation.beams", "20000"], "--evaluation.beams is 20000: a search keeps at most 10,000 beams"),
        (
            ["--evaluation.length_penalty", "0.5", "--evaluation.exact", "adaptive"],
            "--evaluation.exact is 'adaptive': with length_penalty",
        ),
        (["--evaluation.measures", "nDCG@5,ndcg@20"], "did you mean 'nDCG@20'?"),
        (
            ["--retrieval.batch.pseudo_share", "1.5"],
            "--retrieval.batch.pseudo_share is 1.5: it must be between 0 and 1",
        ),
        (
            ["--retrieval.optimiser.learning_rate", "0"],
            "--retrieval.optimiser.learning_rate is 0.0: it must be above 0",
        ),
        (["--rows.GR2S.steps_factor", "-1"], "--rows.GR2S.steps_factor is -1.0: it must be above 0"),
    ],
)
def test_a_section_that_refuses_a_setting(refused, settings, message):
    assert message in refused(*settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["--retrieval.batch.length", "65"], "--retrieval.batch.length is 65: the examples hold 64 tokens"),
        (["--vocabulary.extra_ids", "9"], "--vocabulary.extra_ids is 9: it must be at least 10"),
        (
            ["--retrieval.evaluate_every", "9", "--corpus.validation_queries", "0"],
            "--retrieval.evaluate_every needs validation queries",
        ),
        (["--retrieval.model.weights", "t5-base"], "--retrieval.model.weights need --vocabulary.model"),
        (["--augmentation.generated", "9"], "--augmentation.generated is 9: at most 8, the beams of its generator"),
        (["--docids.schemes.rq.levels", "9"], "scheme rq: docids of 9 codes need --docids.max_length of 9 or more"),
        (
            ["--docids.schemes.rq.codes", "99"],
            "scheme rq: docids of 3 codes, 297 different ones, need --vocabulary.ext",
        ),
        (["--rows.GR2S.docids", "titel"], "docids.schemes has no scheme 'titel': did you mean 'title'?"),
        (["--rows.GR2S.steps_factor", "0.0001"], "steps_factor is 0.0001: GR2S has no steps to train"),
        (["--rows.GR2S.docids", "rq"], "row GR2S-negatives writes 'title' docids and starts from GR2S, which writes"),
        (
            ["--rows.GR2S-negatives.self_negatives.of", "GR2X"],
            "row GR2S-negatives starts from 'GR2X', no system above it: did you mean 'GR2S'?",
        ),
        (["--rows.both.systems", "GR2S"], "row both must read two or more different systems: not GR2S"),
        (["--rows.both.systems", "GR2S,code"], "did you mean 'codes'?"),
        (["--mesh.fsdp", "64"], "does not fit the"),
        (["--validation", "--corpus.folds", "3"], "the folds' validation queries overlap"),
    ],
)
def test_settings_that_are_sound_alone_and_cannot_work_in_this_run(refused, settings, message):
    assert message in refused(*settings)
