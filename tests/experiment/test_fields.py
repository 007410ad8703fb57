"""What `gr2 config show` knows of a field: its path, value, default and meaning, for every section that there is."""

import dataclasses
import typing

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import (
    Experiment,
    ModelConfig,
    OptimiserConfig,
    Pretraining,
    RetrievalConfig,
    RetrievalObjective,
)
from gr2_jax.experiment.fields import REQUIRED, fields_of, meanings, summary
from gr2_jax.experiment.loading import override
from gr2_jax.pipeline.rows import ROWS, BM25Row, System
from gr2_jax.pipeline.schemes import SCHEMES, ResidualCodes, Titles
from gr2_jax.recipes.quickstart import DEFAULT


def sections_of(section, found):
    """The section's class and those of all sections within it."""
    if dataclasses.is_dataclass(section) and section not in found:
        found.append(section)
        for hint in typing.get_type_hints(section).values():
            for inner in {hint, *typing.get_args(hint)}:
                sections_of(inner, found)
    return found


SECTIONS = []
for kind in (Experiment, Pretraining, *ROWS, *SCHEMES):
    sections_of(kind, SECTIONS)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_field_has_a_line_of_meaning(section):
    hints = typing.get_type_hints(section)
    leaves = {name for name, hint in hints.items() if not dataclasses.is_dataclass(hint)}
    without = {field.name for field in dataclasses.fields(section)} & leaves - meanings(section).keys()
    assert not without, f"add a line `field    meaning` to the docstring of {section.__name__}"
    assert summary(section)


@dataclasses.dataclass(frozen=True)
class Base:
    """A section.

    one           of the base,
                  in two lines
    two, three    of both

    That was all.
      four        is no entry
    """

    one: int
    two: int = 2


@dataclasses.dataclass(frozen=True)
class Derived(Base):
    """Another: `five` is in no list.

    one    of its own
    six    is no field
    """

    three: int = 3
    four: int = 4
    five: int = 5


def test_meanings_are_the_entries_of_docstrings_and_a_class_speaks_before_its_base():
    assert meanings(Base) == {"one": "of the base, in two lines", "two": "of both"}
    assert meanings(Derived) == {"one": "of its own", "two": "of both", "three": "of both"}


EXPERIMENT = Experiment(
    name="mine",
    retrieval=RetrievalConfig(optimiser=OptimiserConfig(steps=7), model=ModelConfig(weights="w")),
    docids=dataclasses.replace(DEFAULT.docids, schemes=(Titles(), ResidualCodes(codes=9))),
    rows=(System("GR2S", "title", RetrievalObjective(gamma=0.0)), BM25Row("BM25-x")),
)


def test_values_and_defaults():
    fields = {field.path: field for field in fields_of(EXPERIMENT)}
    assert fields["retrieval.optimiser.steps"][1:3] == (7, 1000)
    assert fields["retrieval.model.weights"][1:3] == ("w", None)
    assert fields["docids.schemes.rq.codes"][1:3] == (9, 64)
    assert fields["rows.GR2S.objective.gamma"][1:3] == (0.0, 1.0)
    assert fields["rows.GR2S.docids"][1:3] == ("title", REQUIRED)
    assert fields["rows.GR2S"][1:3] == ("System", REQUIRED)
    assert fields["workdir"][1:3] == ("runs/mine", "runs/mine")
    assert {path for path, field in fields.items() if field.is_changed} == {
        "retrieval.optimiser.steps",
        "retrieval.model.weights",
        "docids.schemes.rq.codes",
        "rows.GR2S.objective.gamma",
        "rows.BM25-x.name",
        "docids.max_length",
    }


def test_the_default_of_a_kind_of_experiment_is_its_own():
    fields = {field.path: field for field in fields_of(Pretraining(name="gr2p"))}
    assert fields["docids.max_length"][1:3] == (15, 15)
    assert not any(field.is_changed for field in fields.values())


@pytest.mark.parametrize("experiment", [EXPERIMENT, DEFAULT, Pretraining(name="gr2p")], ids=lambda e: e.name)
def test_a_value_given_back_under_its_path_changes_nothing(experiment):
    kinds = {f"rows.{row.name}" for row in experiment.rows}
    kinds |= {f"docids.schemes.{scheme.name}" for scheme in experiment.docids.schemes}
    for field in fields_of(experiment):
        if field.path not in kinds and isinstance(field.value, int | float | str):
            assert override(experiment, [f"--{field.path}", str(field.value)]) == experiment


def test_sections_alone():
    def paths(*sections):
        return [field.path for field in fields_of(EXPERIMENT, sections)]

    assert paths("seed") == ["seed"]
    assert paths("retrieval.optimiser") == [
        f"retrieval.optimiser.{field.name}" for field in dataclasses.fields(OptimiserConfig)
    ]
    assert paths("--retrieval.evaluate-every") == ["retrieval.evaluate_every"]
    assert paths("rows.BM25-x")[0] == "rows.BM25-x"
    assert paths("mesh", "seed") == ["seed", "mesh.replica", "mesh.data", "mesh.fsdp", "mesh.tensor"]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("retreival", "'retreival': did you mean 'retrieval'?"),
        ("retrieval.bath", "did you mean 'retrieval.batch'?"),
        ("retrieval.batch.query", "did you mean 'retrieval.batch.queries'?"),
        ("rows.GR2", "did you mean 'rows.GR2S'?"),
    ],
)
def test_a_section_that_there_is_not(asked, hint):
    with pytest.raises(UserError) as error:
        fields_of(EXPERIMENT, ["seed", asked])
    assert str(error.value).startswith("there is no section or field ")
    assert str(error.value).endswith(hint)
