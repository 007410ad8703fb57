import contextlib
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gr2_jax.errors import UserError
from gr2_jax.experiment import CorpusConfig
from gr2_jax.pipeline.stage import STAGE_FILE, Stage, current_fingerprint, fingerprint_of, reading_stage
from gr2_jax.pipeline.watching import watched_by
from gr2_jax.pipeline.workdir import Workdir


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if path.name != STAGE_FILE}


class Build:
    """Writes a file; notes each call and whether the directory it got was empty."""

    def __init__(self, text, error=None):
        self.text, self.error, self.given = text, error, []

    def __call__(self, out):
        self.given.append(list(out.iterdir()))
        (out / "result").write_text(self.text)
        if self.error:
            raise self.error


def test_a_stage_is_built_once_and_again_for_another_fingerprint(tmp_path):
    stage, first, second = tmp_path / "docids" / "title", Build("one"), Build("two")
    assert Stage(stage, "a").build(first) is True
    assert Stage(stage, "a").build(first) is False
    assert contents(stage) == {"result": "one"}
    assert Stage(stage, "a").done
    assert not Stage(stage, "b").done
    assert Stage(stage, "b").build(second) is True
    assert contents(stage) == {"result": "two"}
    assert not Stage(stage, "a").done
    assert first.given == second.given == [[]]
    assert [path.name for path in stage.parent.iterdir()] == ["title"]


@pytest.mark.parametrize("error", [ValueError("x"), UserError("x"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_nothing_under_the_name(tmp_path, error):
    stage = tmp_path / "corpus"
    with pytest.raises(type(error)):
        Stage(stage, "a").build(Build("half", error))
    assert not stage.exists()
    whole = Build("whole")
    assert Stage(stage, "a").build(whole) is True
    assert whole.given == [[]]  # without the half that was left
    assert contents(stage) == {"result": "whole"}


def test_a_build_that_fails_leaves_the_old_stage_as_it_was(tmp_path):
    stage = tmp_path / "corpus"
    Stage(stage, "a").build(Build("old"))
    with pytest.raises(ValueError, match="x"):
        Stage(stage, "b").build(Build("new", ValueError("x")))
    assert contents(stage) == {"result": "old"}
    assert Stage(stage, "a").done
    assert Stage(stage, "a").build(Build("new")) is False


def test_a_process_killed_while_building_leaves_nothing_under_the_name(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from gr2_jax.pipeline.stage import Stage\n"
        "def build(out):\n    (out / 'result').write_text('half'); os._exit(9)\n"
        "Stage(Path(sys.argv[1]), 'a').build(build)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "stage")], check=False).returncode == 9
    assert not (tmp_path / "stage").exists()
    Stage(tmp_path / "stage", "a").build(Build("whole"))
    assert contents(tmp_path / "stage") == {"result": "whole"}


def test_a_directory_that_no_stage_made_is_left_alone(tmp_path):
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "mine").touch()
    assert not Stage(tmp_path / "stage", "a").done
    with pytest.raises(UserError, match="stage already exists"):
        Stage(tmp_path / "stage", "a").build(Build("x"))
    assert [path.name for path in tmp_path.rglob("*")] == ["stage", "mine"]


def test_an_empty_record_is_not_done(tmp_path):
    Stage(tmp_path / "stage", "a").build(Build("x"))
    (tmp_path / "stage" / "stage.json").write_text("")
    assert not Stage(tmp_path / "stage", "a").done
    assert Stage(tmp_path / "stage", "a").build(Build("y"))
    assert contents(tmp_path / "stage") == {"result": "y"}


def test_create(tmp_path):
    workdir = Workdir(tmp_path / "deep" / "run")
    workdir.create()
    workdir.create()
    assert workdir.root.is_dir()
    assert list(workdir.root.iterdir()) == []


@pytest.mark.parametrize("below", [[], ["run"], ["deep", "run"]])
def test_create_refuses_what_is_not_a_folder(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    root = tmp_path.joinpath("file", *below)
    with pytest.raises(UserError, match=r"^the workdir .*file.* cannot be written \(.+\): give another$"):
        Workdir(root).create()
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_create_refuses_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        Workdir(tmp_path).create()


def test_no_two_parts_of_a_run_share_a_path():
    workdir = Workdir(Path("w"))
    fixed = [name for name, value in vars(Workdir).items() if isinstance(value, property)]
    paths = [getattr(workdir, name) for name in fixed] + [
        workdir.docids("a"),
        workdir.docids("b"),
        workdir.checkpoints("a", "0"),
    ]
    assert len(set(paths)) == len(paths) == len(fixed) + 3
    assert all(path.is_relative_to("w") for path in paths)


def test_a_fingerprint_is_free_of_order_and_stable_between_processes():
    value = {"b": [1, 2.5, None, True], "a": {"y": "ß", "x": CorpusConfig(folds=5)}, "p": Path("a/b")}
    same = {
        "p": "a/b",
        "a": {"x": {"kind": "CorpusConfig", **dataclasses.asdict(CorpusConfig(folds=5))}, "y": "ß"},
        "b": (1, 2.5, None, True),
    }
    assert fingerprint_of(value) == fingerprint_of(same)
    code = "from gr2_jax.pipeline.stage import fingerprint_of; print(fingerprint_of({'b': ['ß', 1], 'a': 2.5}))"
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": hash_seed})
        assert printed.stdout.strip() == fingerprint_of({"a": 2.5, "b": ["ß", 1]})


def test_a_fingerprint_tells_values_apart():
    values = [0, False, None, "", [], {}, [0, 1], [1, 0], [[0], 1], {"a": 1}, {"a": 2}, {"b": 1}, CorpusConfig()]
    values += [CorpusConfig(folds=2), "0", 0.5]
    assert len({fingerprint_of(value) for value in values}) == len(values)


def test_a_fingerprint_refuses_what_has_no_fixed_order():
    with pytest.raises(TypeError, match="set cannot be written"):
        fingerprint_of({"a": {1, 2}})


def test_a_file_whose_bytes_changed_is_refused_when_it_is_read(tmp_path):
    def build(out):
        (out / "numbers").write_bytes(bytes(range(9)))
        (out / "others").write_text("x")

    stage = Stage(tmp_path / "stage", "a")
    stage.build(build)
    with reading_stage(stage.directory, "numbers") as path:
        assert path.read_bytes() == bytes(range(9))
    (stage.directory / "numbers").write_bytes(bytes(9))
    said = rf"numbers was changed after it was written; to make it again, delete {stage.directory} and start"
    for name in ("numbers", ""):
        with pytest.raises(UserError, match=said), reading_stage(stage.directory, name):
            pytest.fail("it was read")
    with reading_stage(stage.directory, "others"):
        pass
    (stage.directory / "numbers").write_bytes(bytes(range(9)))
    (stage.directory / "others").unlink()
    with pytest.raises(UserError, match="others is missing; to make it again"), reading_stage(stage.directory, ""):
        pass


def test_a_record_that_changed_is_no_record(tmp_path):
    stage = Stage(tmp_path / "stage", "a")
    stage.begin({"t5": {"d_model": 8}})
    stage.finish({"seconds": 3.0})
    record = stage.directory / STAGE_FILE
    whole = record.read_text()
    record.write_text(whole.replace("3.0", "2.0"))
    assert not stage.done
    with pytest.raises(UserError, match=r"stage\.json is damaged: it does not match its checksum"):
        stage.meta  # noqa: B018
    record.write_text('{"fingerprint": "a"}')  # of an earlier version
    assert stage.done
    with reading_stage(stage.directory, "anything"):
        pass


def test_a_training_begins_and_finishes(tmp_path):
    stage = Stage(tmp_path / "checkpoints" / "GR2S-a", "a")
    stage.begin({"t5": {"d_model": 8}})
    assert not stage.done
    assert stage.meta == {"t5": {"d_model": 8}}
    stage.finish({"seconds": 3.0})
    assert stage.done
    assert stage.meta == {"t5": {"d_model": 8}, "seconds": 3.0, "fingerprint": "a"}
    assert current_fingerprint(stage.directory) == "a"


def test_a_watcher_is_told_of_what_is_made_and_of_nothing_else(tmp_path):
    seen = []

    @contextlib.contextmanager
    def watcher(place):
        seen.append(("begins", place))
        yield
        seen.append(("ends", place, (tmp_path / "corpus").exists()))

    with watched_by(watcher):
        Stage(tmp_path / "corpus", "a").build(Build("one"))
        Stage(tmp_path / "corpus", "a").build(Build("one"))
        with pytest.raises(ValueError, match="x"):
            Stage(tmp_path / "docids", "a").build(Build("half", ValueError("x")))
    Stage(tmp_path / "examples", "a").build(Build("one"))
    # what is noted of a stage is noted before the stage is there: a kill between the two costs no figures
    assert seen == [
        ("begins", tmp_path / "corpus"),
        ("ends", tmp_path / "corpus", False),
        ("begins", tmp_path / "docids"),
    ]
