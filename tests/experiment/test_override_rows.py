"""Changes from the command line that concern several settings at once: rows and schemes by name, objectives of rows."""

import dataclasses
import re

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import DocidConfig, Experiment, Pretraining, RetrievalObjective
from gr2_jax.experiment.loading import override
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System
from gr2_jax.pipeline.schemes import ResidualCodes, Titles

EXPERIMENT = Experiment(
    name="small",
    docids=DocidConfig(schemes=(Titles(), ResidualCodes(), ResidualCodes("rq.small", codes=8))),
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", RetrievalObjective(gamma=0.0)),
        System("MLE.long", "title", RetrievalObjective(gamma=0.0, temperature=0.2), steps_factor=2.0),
        System("GR2S-negatives", "title", self_negatives=SelfNegatives("GR2S")),
        *BASELINES,
    ),
)


def rows_of(experiment):
    return {row.name: row for row in experiment.rows}


def schemes_of(experiment):
    return {scheme.name: scheme for scheme in experiment.docids.schemes}


def test_a_row_is_a_section_under_its_name():
    changed = override(EXPERIMENT, ["--rows.MLE.steps_factor", "2", "--rows.BM25.training-queries", "true"])
    before, after = rows_of(EXPERIMENT), rows_of(changed)
    assert list(after) == list(before)
    assert after.pop("MLE") == dataclasses.replace(before.pop("MLE"), steps_factor=2.0)
    assert after.pop("BM25") == dataclasses.replace(before.pop("BM25"), training_queries=True)
    assert after == before
    assert dataclasses.replace(changed, rows=EXPERIMENT.rows) == EXPERIMENT


def test_a_scheme_is_a_section_under_its_name():
    changed = override(EXPERIMENT, ["--docids.schemes.rq.codes", "64", "--docids.schemes.rq.levels", "2"])
    assert schemes_of(changed) == schemes_of(EXPERIMENT) | {"rq": ResidualCodes(levels=2, codes=64)}


def test_names_may_hold_dots():
    changed = override(
        EXPERIMENT, ["--rows.MLE.long.steps_factor=3", "--rows.MLE.steps_factor=2", "--docids.schemes.rq.small.codes=9"]
    )
    assert [rows_of(changed)[name].steps_factor for name in ("MLE", "MLE.long")] == [2.0, 3.0]
    assert [schemes_of(changed)[name].codes for name in ("rq", "rq.small")] == [64, 9]
    changed = override(
        EXPERIMENT, ["--rows.GR2S-negatives.self_negatives.weight", "0.5", "--rows.BM25+queries.name", "B"]
    )
    assert rows_of(changed)["GR2S-negatives"].self_negatives.weight == 0.5
    assert "B" in rows_of(changed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows.GR2.steps_factor", "2"], "--rows.GR2.steps_factor: there is no 'GR2': did you mean 'GR2S'?"),
        (["--docids.schemes.qr.codes", "2"], "there is no 'qr': did you mean 'rq'?"),
        (["--rows.MLE.steps", "2"], "--rows.MLE.steps: System has no field 'steps': did you mean 'steps_factor'?"),
        (
            ["--rows.MLE", "2"],
            "--rows.MLE is a section: give one of its fields, binary, docids, name, objective, self_negatives",
        ),
        (["--rows", "MLE"], "--rows holds several sections: add a name, GR2S, MLE, MLE.long, GR2S-negatives"),
        (["--rows.MLE.steps_factor", "0"], "--rows.MLE.steps_factor is 0.0: it must be above 0"),
        (["--rows.MLE.objective.gamma", "-1"], "--rows.MLE.objective.gamma is -1.0: it must be at least 0"),
        (["--rows.GR2S.objective.gamma", "1"], "'objective' has no fields here: it is not set"),
        (["--rows.MLE.name", "GR2S"], "--rows has two rows named 'GR2S': give one another name"),
        (["--rows.MLE.name", "a/b"], "--rows.MLE.name is 'a/b': use letters, digits and . + - _"),
        (["--docids.schemes.rq.name", "title"], "--docids.schemes has two schemes named 'title'"),
        (["--docids.schemes.rq.codes", "0"], "--docids.schemes.rq.codes is 0: it must be at least 1"),
        (["--rows.MLE.steps_factor", "2", "--rows.MLE.steps_factor", "3"], "--rows.MLE.steps_factor is given twice"),
    ],
)
def test_wrong_words_about_rows_and_schemes(arguments, message):
    with pytest.raises(UserError, match=rf"^.*{re.escape(message)}"):
        override(EXPERIMENT, arguments)


def test_a_pretraining_has_no_rows_to_change():
    with pytest.raises(UserError, match="Pretraining has no field 'rows'"):
        override(Pretraining(name="p"), ["--rows.MLE.steps_factor", "2"])


@pytest.mark.parametrize(
    ("together", "alone"),
    [
        (["--retrieval.batch.length=48", "--retrieval.batch.longest_span=48"], 1),
        (["--retrieval.batch.microbatches=5", "--retrieval.batch.queries=80"], 0),
        (
            ["--retrieval.batch.indexing_texts=90", "--retrieval.batch.queries=99", "--retrieval.batch.microbatches=9"],
            2,
        ),
        (["--corpus.test_queries=0", "--corpus.folds=5"], 0),
        (["--mesh.fsdp=-1", "--mesh.data=1"], 0),
        ([f"--rows.GR2S-negatives.self_negatives.{word}=30" for word in ("depth", "beams")], 0),
    ],
)
def test_settings_that_are_only_valid_together_are_taken_together(together, alone):
    changed = override(EXPERIMENT, together)
    assert override(EXPERIMENT, together[::-1]) == changed != EXPERIMENT
    with pytest.raises(UserError):
        override(EXPERIMENT, [together[alone]])


def test_a_refusal_of_settings_that_are_given_together_names_the_setting():
    with pytest.raises(UserError, match=r"^--retrieval\.batch\.longest_span is 49: .* and length, 48$"):
        override(EXPERIMENT, ["--retrieval.batch.length", "48", "--retrieval.batch.longest_span", "49"])
    with pytest.raises(UserError, match=r"^--evaluation\.exact is 'adaptive': with length_penalty "):
        override(EXPERIMENT, ["--evaluation.length_penalty", "0.5", "--evaluation.exact", "adaptive"])


def test_a_changed_objective_reaches_every_row_unless_the_row_differs_there():
    changed = override(EXPERIMENT, ["--retrieval.objective.temperature", "0.3", "--retrieval.objective.gamma", "0.7"])
    rows = rows_of(changed)
    assert changed.retrieval.objective == RetrievalObjective(gamma=0.7, temperature=0.3)
    assert rows["GR2S"].objective is None  # the section's own
    assert rows["MLE"].objective == RetrievalObjective(gamma=0.0, temperature=0.3)
    assert rows["MLE.long"].objective == RetrievalObjective(gamma=0.0, temperature=0.2)
    assert rows["BM25"] == rows_of(EXPERIMENT)["BM25"]


def test_what_a_row_is_given_itself_stands_before_what_the_section_is_given():
    for value in ("0.1", "0.5"):  # the section's old value, and another
        given = ["--rows.MLE.objective.temperature", value, "--retrieval.objective.temperature", "0.3"]
        for arguments in (given, given[2:] + given[:2]):
            rows = rows_of(override(EXPERIMENT, arguments))
            assert rows["MLE"].objective == RetrievalObjective(gamma=0.0, temperature=float(value))


def test_an_objective_of_a_row_changes_that_row_alone():
    changed = override(EXPERIMENT, ["--rows.MLE.objective.penalty", "equal"])
    assert changed.retrieval == EXPERIMENT.retrieval
    assert rows_of(changed)["MLE"].objective == RetrievalObjective(gamma=0.0, penalty="equal")
    assert rows_of(changed)["MLE.long"] == rows_of(EXPERIMENT)["MLE.long"]
