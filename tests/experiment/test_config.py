import dataclasses
import json
from pathlib import Path
from typing import Literal

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment.config import Experiment, Pretraining, System
from gr2_jax.experiment.loading import experiment_from_json, load_experiment, override
from gr2_jax.pipeline.pretraining import check_pretraining
from gr2_jax.pipeline.stage import digest
from gr2_jax.recipes.quickstart import PROFILES

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


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
    systems: tuple[System, ...] = ()
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
        (["--systems", "GR2S"], "^--systems cannot be given on the command line: write it in a config file$"),
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


def leaves(node, prefix=""):
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, value


def test_every_field_of_an_experiment_can_be_given_by_its_own_name():
    experiment, seen = Experiment(), 0
    for path, value in leaves(experiment):
        if path in ("retrieval.systems", "retrieval.views", "retrieval.dense"):
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        assert override(experiment, [f"--{path}", text]) == experiment
        assert override(experiment, [f"--{path.replace('_', '-')}", text]) == experiment
        if type(value) in (int, float, str) and isinstance(value, int | float):
            changed = dict(leaves(override(experiment, [f"--{path}", str(value + 1)])))
            assert changed == dict(leaves(experiment)) | {path: value + 1}
            seen += 1
    assert seen > 30


def load(tmp_path, text, name="my.py"):
    (tmp_path / name).write_text(text)
    return load_experiment(tmp_path / name)


def test_load_experiment(tmp_path):
    text = "from gr2_jax.experiment.config import *\nexperiment = Experiment(seed=4, workdir='w')\n"
    assert load(tmp_path, text) == Experiment(seed=4, workdir="w")
    assert load_experiment(str(tmp_path / "my.py")).seed == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "from gr2_jax.experiment.config import Experiment\nexperiment = Experiment(sede=4)",
            "unexpected keyword argument 'sede'",
        ),
        ("x = (\n", r"SyntaxError: .*line 1"),
        ("x = nothing", "NameError: name 'nothing' is not defined"),
        ("import gr2_jax.confg", "No module named 'gr2_jax.confg'"),
        ("from gr2_jax.experiment.config import Experimnt", "cannot import name 'Experimnt'"),
        ("x = {}['a']", "KeyError: 'a'"),
        ("open('/no/such/file')", "/no/such/file"),
        ("int('x')", "ValueError: invalid literal"),
    ],
)
def test_a_config_that_does_not_load(tmp_path, text, message):
    with pytest.raises(UserError, match=f"my.py does not load: .*{message}"):
        load(tmp_path, text)


@pytest.mark.parametrize("text", ["", "experiment = 3", "from gr2_jax.experiment.config import Experiment\nExperiment()"])
def test_a_config_without_an_experiment(tmp_path, text):
    with pytest.raises(UserError, match=r"my.py defines no `experiment = Experiment\(...\)` or `Pretraining\(...\)`$"):
        load(tmp_path, text)


def test_a_config_may_refuse_by_itself(tmp_path):
    with pytest.raises(UserError, match=r"^no such size$"):
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


CONFIG = "from gr2_jax.experiment.config import *\nexperiment = {}(workdir='w')\n"
SEED = "import dataclasses\ndef overlay(experiment):\n    return dataclasses.replace(experiment, seed={})\n"


def lay(tmp_path, *texts, kind="Experiment"):
    names = [f"{'abc'[i]}.py" for i in range(len(texts) + 1)]
    for name, text in zip(names, (CONFIG.format(kind), *texts), strict=True):
        (tmp_path / name).write_text(text)
    return load_experiment(*(tmp_path / name for name in names))


@pytest.mark.parametrize("kind", [Experiment, Pretraining])
def test_overlays_are_laid_over_a_config_from_left_to_right(tmp_path, kind):
    assert lay(tmp_path, kind=kind.__name__) == kind(workdir="w")
    assert lay(tmp_path, SEED.format(3), kind=kind.__name__) == kind(workdir="w", seed=3)
    twice = SEED.format("2 * experiment.seed")
    assert lay(tmp_path, SEED.format(3), twice, kind=kind.__name__) == kind(workdir="w", seed=6)
    assert lay(tmp_path, twice, SEED.format(3), kind=kind.__name__) == kind(workdir="w", seed=3)


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
            "from gr2_jax.experiment.config import Pretraining\ndef overlay(experiment): return Pretraining()",
            r"must return its Experiment, not Pretraining$",
        ),
        ("def overlay(): pass", r"b\.py fails on quickstart: TypeError: "),
        ("def overlay(experiment): return experiment.sede", r"b\.py fails on quickstart: AttributeError: .*'sede'"),
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
    record = json.loads(json.dumps(dataclasses.asdict(experiment)))
    again = experiment_from_json(record)
    assert again == experiment
    assert digest(again) == digest(experiment)
    hash(again)  # nothing became a list


@pytest.mark.parametrize("experiment", PROFILES.values(), ids=PROFILES.keys())
def test_profiles_survive_json(experiment):
    assert_round_trip(experiment)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_and_survives_json(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a collection that is not there must not keep its config from loading
    experiment = load_experiment(path)
    if isinstance(experiment, Pretraining):
        check_pretraining(experiment)
        return
    assert_round_trip(experiment)
    schemes = set(experiment.docids.schemes)
    assert {system.docids for system in experiment.retrieval.systems} <= schemes
    names = [system.name for system in experiment.retrieval.systems]
    assert len(set(names)) == len(names) > 0


def test_there_are_configs():
    assert "quickstart" in [path.stem for path in CONFIGS]
    assert load_experiment(next(path for path in CONFIGS if path.stem == "quickstart")) == PROFILES["default"]


def test_json_of_another_version_is_refused_by_name():
    record = json.loads(json.dumps(dataclasses.asdict(Experiment())))
    record["retrieval"]["batch"]["querys"] = 3
    with pytest.raises(UserError, match=r"^config.json: BatchConfig has no field 'querys': did you mean 'queries'\?$"):
        experiment_from_json(record)
    del record["retrieval"]["batch"]
    assert experiment_from_json(record) == Experiment()  # what is missing has its default
