import dataclasses
import json
from pathlib import Path
from typing import Literal

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import (
    AugmentationConfig,
    DocidConfig,
    Experiment,
    GradedPairs,
    Pretraining,
    RetrievalObjective,
)
from gr2_jax.experiment.loading import from_record, load_experiment, override, to_record
from gr2_jax.pipeline.rows import (
    BASELINES,
    ROWS,
    DenseRow,
    InterpolatedRow,
    QueryLikelihoodRow,
    RerankedRow,
    SelfNegatives,
    System,
    ViewsRow,
)
from gr2_jax.pipeline.schemes import SCHEMES, PlainQueries
from gr2_jax.pipeline.stage import fingerprint_of
from gr2_jax.recipes.quickstart import PROFILES

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))
KINDS = {kind.__name__: kind for kind in (*ROWS, *SCHEMES)}


@dataclasses.dataclass(frozen=True)
class Part:
    rate: float = 1e-2
    bounded: int | None = None
    scale: float | None = 0.5


@dataclasses.dataclass(frozen=True)
class Whole:
    """One field of every type that an experiment may have."""

    count: int = 3
    flag: bool = True
    text: str = "a"
    choice: Literal["rank", "grade"] = "rank"
    words: tuple[str, ...] = ("x",)
    numbers: tuple[int, ...] = (1, 2)
    sources: tuple[GradedPairs, ...] = ()
    part: Part = Part()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--count", "-7"], {"count": -7}),
        (["--count=8"], {"count": 8}),
        (["--flag", "false"], {"flag": False}),
        (["--flag", "True"], {"flag": True}),
        (["--text", "12"], {"text": "12"}),
        (["--text=a=b c"], {"text": "a=b c"}),
        (["--text="], {"text": ""}),
        (["--choice", "grade"], {"choice": "grade"}),
        (["--words", "title, fusion"], {"words": ("title", "fusion")}),
        (["--numbers", "4"], {"numbers": (4,)}),
        (["--numbers", "4,5,"], {"numbers": (4, 5)}),
        (["--part.rate", "3"], {"part": Part(rate=3.0)}),
        (["--part.rate", "5e-5"], {"part": Part(rate=5e-5)}),
        (["--part.bounded", "3"], {"part": Part(bounded=3)}),
        (["--part.scale", "none"], {"part": Part(scale=None)}),
        (["--part.scale", "2", "--count", "1", "--part.rate", "-1"], {"count": 1, "part": Part(rate=-1.0, scale=2.0)}),
        ([], {}),
    ],
)
def test_override(arguments, expected):
    changed = override(Whole(), arguments)
    assert changed == Whole(**expected)
    for name, value in expected.items():
        assert type(getattr(changed, name)) is type(value)
    assert type(changed.part.rate) is float


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cuont", "3"], r"^--cuont: Whole has no field 'cuont': did you mean 'count'\?$"),
        (["--part.raet", "3"], r"^--part\.raet: Part has no field 'raet': did you mean 'rate'\?$"),
        (["--prat.rate", "3"], r"no field 'prat': did you mean 'part'\?$"),
        (["--zzz", "3"], "valid here: choice, count, flag"),
        (["--part", "3"], "^--part is a section: give one of its fields, bounded, rate, scale$"),
        (["--count.deep", "3"], "^--count.deep: 'count' has no fields$"),
        (["--count", "three"], "^--count is 'three', which is not a value of type int$"),
        (["--count", "3.5"], "not a value of type int"),
        (["--count", "True"], "not a value of type int"),
        (["--count", "{[]: 1}"], "not a value of type int"),
        (["--count", ""], "not a value of type int"),
        (["--part.rate", "fast"], "not a value of type float"),
        (["--part.rate", "True"], "not a value of type float"),
        (["--part.scale", "half"], "not a value of type float"),
        (["--flag", "yes"], "^--flag is 'yes', which is not true or false$"),
        (["--flag", "1"], "not true or false"),
        (["--choice", "grades"], r"^--choice is 'grades': did you mean 'grade'\?$"),
        (["--numbers", "1,two"], "^--numbers is 'two', which is not a value of type int$"),
        (["--sources", "GR2S"], "^--sources cannot be given on the command line: write it in a config file$"),
        (["--count", "3", "--count", "4"], "^--count is given twice$"),
        (["--count=3", "--count", "4"], "^--count is given twice$"),
        (["--count"], "^--count needs a value$"),
        (["--text", "--count", "3"], "^--text needs a value$"),
        (["count", "3"], "^'count' is no option: settings are written --section.field value$"),
        (["--count", "3", "4"], "^'4' is no option"),
        (["--", "3"], "no field ''"),
        (["--count", "3", "more.py"], "value; config files and overlays come before the settings$"),
    ],
)
def test_a_wrong_override_is_said_with_the_nearest_right_one(arguments, message):
    with pytest.raises(UserError, match=message):
        override(Whole(), arguments)


WHOLE = Experiment(
    name="whole",
    augmentation=AugmentationConfig(generator=PlainQueries()),
    docids=DocidConfig(schemes=tuple(scheme() for scheme in SCHEMES)),
    rows=(
        System("GR2S", "title"),
        System("MLE", "title", RetrievalObjective(gamma=0.5)),
        System("GR2S-negatives", "title", self_negatives=SelfNegatives("GR2S")),
        ViewsRow("both", ("GR2S", "MLE")),
        DenseRow(),
        *BASELINES,
        QueryLikelihoodRow(),
        InterpolatedRow("GR2S+BM25", ("GR2S", "BM25")),
        RerankedRow("BM25-reranked", "BM25"),
    ),
)
"""Every section, every kind of row and every docid scheme."""


def leaves(node, prefix=""):
    """(path, value) of every setting; rows and schemes are sections under their names."""
    for field in dataclasses.fields(node):
        value, path = getattr(node, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{path}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for item in value:
                yield from leaves(item, f"{path}.{item.name}.")
        else:
            yield path, value


def another(path, value):
    """Another value that is valid by itself."""
    unusual = {"corpus.folds": 2, "retrieval.batch.longest_span": 20, "mesh.data": 2}
    unusual |= {"retrieval.batch.document_length": 40, "retrieval.batch.query_share": 0.5}
    if path in unusual:
        return unusual[path]
    return value + 1 if type(value) is int else value / 2 or 0.25


@pytest.mark.parametrize("experiment", [WHOLE, Pretraining(name="p")], ids=["fine-tuning", "pre-training"])
def test_every_field_of_an_experiment_can_be_given_by_its_own_name(experiment):
    seen = 0
    for path, value in leaves(experiment):
        if value == () and path in ("pairs.sources", "docids.schemes"):  # sections, which config files alone can add
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert override(experiment, [f"--{path}", text]) == experiment
        assert override(experiment, [f"--{path.replace('_', '-')}", text]) == experiment
        if type(value) in (int, float):
            new = another(path, value)
            changed = dict(leaves(override(experiment, [f"--{path}", str(new)])))
            expected = dict(leaves(experiment)) | {path: new}
            in_row = path.replace("retrieval.", "rows.MLE.")  # whose own objective differs in gamma alone
            if path.startswith("retrieval.objective.") and expected.get(in_row) == value:
                expected[in_row] = new
            assert changed == expected
            seen += 1
    assert seen > 30


def load(tmp_path, text, name="my.py"):
    (tmp_path / name).write_text(text)
    return load_experiment(tmp_path / name)


def test_load_experiment(tmp_path):
    text = "from gr2_jax.experiment import *\nexperiment = Experiment(name='x', seed=4)\n"
    assert load(tmp_path, text) == Experiment(name="x", workdir="runs/x", seed=4)
    assert load_experiment(str(tmp_path / "my.py")).seed == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "from gr2_jax.experiment import Experiment\nexperiment = Experiment(name='x', sede=4)",
            "unexpected keyword argument 'sede'",
        ),
        ("x = (\n", r"SyntaxError: .*line 1"),
        ("x = nothing", "NameError: name 'nothing' is not defined"),
        ("import gr2_jax.confg", "No module named 'gr2_jax.confg'"),
        ("from gr2_jax.experiment import Experimnt", "cannot import name 'Experimnt'"),
        ("x = {}['a']", "KeyError: 'a'"),
        ("open('/no/such/file')", "/no/such/file"),
        ("int('x')", "ValueError: invalid literal"),
    ],
)
def test_a_config_that_does_not_load(tmp_path, text, message):
    with pytest.raises(UserError, match=f"my.py does not load: .*{message}"):
        load(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["", "experiment = 3", "from gr2_jax.experiment import Experiment\nExperiment(name='x')"]
)
def test_a_config_without_an_experiment(tmp_path, text):
    with pytest.raises(UserError, match=r"my.py defines no `experiment = Experiment\(...\)` or `Pretraining\(...\)`$"):
        load(tmp_path, text)


def test_a_config_may_refuse_by_itself(tmp_path):
    with pytest.raises(UserError, match=r"my\.py: no such size$"):
        load(tmp_path, "from gr2_jax.errors import UserError\nraise UserError('no such size')")


def test_files_that_are_no_configs(tmp_path):
    (tmp_path / "cranfield.py").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"there is no config file .*cranfeld.py: did you mean 'cranfield.py'\?$"):
        load_experiment(tmp_path / "cranfeld.py")
    with pytest.raises(UserError, match=r"there is no config file .*absent/x\.py$"):
        load_experiment(tmp_path / "absent" / "x.py")
    with pytest.raises(UserError, match="there is no config file"):
        load_experiment(tmp_path)
    with pytest.raises(UserError, match=r"notes\.txt is no config file: its name does not end in \.py$"):
        load_experiment(tmp_path / "notes.txt")


CONFIG = "from gr2_jax.experiment import *\nexperiment = {}(name='small')\n"
SEED = "import dataclasses\ndef overlay(experiment):\n    return dataclasses.replace(experiment, seed={})\n"


def lay(tmp_path, *texts, kind="Experiment"):
    names = [f"{'abc'[i]}.py" for i in range(len(texts) + 1)]
    for name, text in zip(names, (CONFIG.format(kind), *texts), strict=True):
        (tmp_path / name).write_text(text)
    return load_experiment(*(tmp_path / name for name in names))


@pytest.mark.parametrize("kind", [Experiment, Pretraining])
def test_overlays_are_laid_over_a_config_from_left_to_right(tmp_path, kind):
    assert lay(tmp_path, kind=kind.__name__) == kind(name="small")
    assert lay(tmp_path, SEED.format(3), kind=kind.__name__) == kind(name="small", seed=3)
    twice = SEED.format("2 * experiment.seed")
    assert lay(tmp_path, SEED.format(3), twice, kind=kind.__name__) == kind(name="small", seed=6)
    assert lay(tmp_path, twice, SEED.format(3), kind=kind.__name__) == kind(name="small", seed=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            CONFIG.format("Experiment"),
            r"b\.py is a config of its own: only the first file may be one; an overlay defines",
        ),
        ("", r"b\.py is no overlay; an overlay defines `overlay\(experiment\)`$"),
        ("overlay = 3", r"b\.py is no overlay"),
        ("def overlay(experiment): pass", r"the overlay of .*b\.py must return its Experiment, not NoneType$"),
        (
            "from gr2_jax.experiment import Pretraining\ndef overlay(experiment): return Pretraining(name='p')",
            r"must return its Experiment, not Pretraining$",
        ),
        ("def overlay(): pass", r"b\.py fails on small: TypeError: "),
        ("def overlay(experiment): return experiment.sede", r"b\.py fails on small: AttributeError: .*'sede'"),
        (
            "from gr2_jax.errors import UserError\ndef overlay(experiment): raise UserError('no such size')",
            r"b\.py: no such size$",
        ),
        ("x = nothing", r"b\.py does not load: NameError"),
    ],
)
def test_an_overlay_that_will_not_do(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        lay(tmp_path, text)


def test_an_overlay_needs_a_config_before_it(tmp_path):
    (tmp_path / "large.py").write_text(SEED.format(3))
    with pytest.raises(
        UserError, match=r"large\.py is an overlay, which changes an experiment: give a config file before"
    ):
        load_experiment(tmp_path / "large.py")
    (tmp_path / "a.py").write_text(CONFIG.format("Experiment"))
    with pytest.raises(UserError, match=r"there is no config file .*lrage\.py: did you mean 'large\.py'\?$"):
        load_experiment(tmp_path / "a.py", tmp_path / "lrage.py")


def assert_round_trip(experiment):
    again = from_record(json.loads(json.dumps(to_record(experiment))), KINDS)
    assert again == experiment
    assert fingerprint_of(again) == fingerprint_of(experiment)
    hash(again)  # nothing became a list


@pytest.mark.parametrize("experiment", [*PROFILES.values(), WHOLE], ids=[*PROFILES, "every kind"])
def test_experiments_survive_json(experiment):
    assert_round_trip(experiment)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_json(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a collection that is not there must not keep its config from loading
    experiment = load_experiment(path)
    if isinstance(experiment, Pretraining):
        json.dumps(to_record(experiment))
        assert experiment.pairs.sources
        return
    assert_round_trip(experiment)
    schemes = {scheme.name for scheme in experiment.docids.schemes}
    systems = [row for row in experiment.rows if isinstance(row, System)]
    assert {system.docids for system in systems} <= schemes
    names = [row.name for row in experiment.rows]
    assert len(set(names)) == len(names)
    assert systems
    in_memory = path.stem not in ("clueweb09b", "gov2")  # whose baselines would hold an index of every page
    assert tuple(row for row in experiment.rows if row in BASELINES) == (BASELINES if in_memory else ())
    last = max(i for i, row in enumerate(experiment.rows) if isinstance(row, System))
    assert not any(row in BASELINES for row in experiment.rows[:last])


def test_there_are_configs():
    assert "quickstart" in [path.stem for path in CONFIGS]
    assert load_experiment(next(path for path in CONFIGS if path.stem == "quickstart")) == PROFILES["default"]


def test_json_of_another_version_is_refused_by_name():
    record = json.loads(json.dumps(to_record(WHOLE)))
    record["retrieval"]["batch"]["querys"] = 3
    with pytest.raises(UserError, match=r"^config.json: BatchConfig has no field 'querys': did you mean 'queries'\?$"):
        from_record(record, KINDS)
    del record["retrieval"]["batch"]
    assert from_record(record, KINDS) == WHOLE  # what is missing has its default
    record["rows"][0]["kind"] = "Sistem"
    with pytest.raises(UserError, match=r"^config.json: there is no row of kind 'Sistem': did you mean 'System'\?$"):
        from_record(record, KINDS)
    record["docids"]["schemes"][0].pop("kind")
    with pytest.raises(UserError, match=r"^config.json: there is no scheme of kind '': valid here: .*Titles"):
        from_record(record, KINDS)
