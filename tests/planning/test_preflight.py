"""`gr2 check`: what is there is said to be, and what is missing is named, on which host."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from gr2_jax.cli import main
from gr2_jax.planning import preflight

PIPELINE = Path(__file__).parents[1] / "pipeline"
CHECKED = [
    "devices", "settings", "mesh", "workdir", "hosts", "disk", "data", "vocabulary", "weights", "batch",
]  # fmt: skip


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config of the small run of tests/pipeline."""
    monkeypatch.syspath_prepend(PIPELINE)
    (tmp_path / "corpus").mkdir()
    path = tmp_path / "small.py"
    path.write_text(
        "from pathlib import Path\nfrom searched_run import searched_experiment\n"
        f"experiment = searched_experiment(Path({str(tmp_path / 'corpus')!r}))\n"
    )
    return path


def checked(capsys, config, *words, code):
    with pytest.raises(SystemExit) as stop:
        main(["check", str(config), "--workdir", str(config.parent / "run"), "--json", *words])
    found = json.loads(capsys.readouterr().out)
    assert stop.value.code == code, found
    return found


def wrong(found):
    return {what: finding["said"] for what, finding in found.items() if not finding["ok"]}


def test_everything_is_there(config, capsys):
    found = checked(capsys, config, code=0)
    assert list(found) == CHECKED
    assert not wrong(found)
    assert found["mesh"]["said"] == "replica 1, data 1, fsdp 1, tensor 1: 8 queries split 1 way"
    assert "the first document is readable" in found["data"]["said"]
    assert "made-up text" in found["batch"]["said"]
    assert list((config.parent / "run").iterdir()) == []


def test_lines_say_what_was_checked_and_how_it_went(config, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["check", str(config), "--workdir", str(config.parent / "run"), "--corpus.source", "nowhere"])
    assert stop.value.code == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == CHECKED
    assert [line.split()[0] for line in lines] == ["WRONG" if what == "data" else "ok" for what in CHECKED]
    assert "nowhere" in lines[CHECKED.index("data")]


@pytest.mark.parametrize(
    ("words", "what", "said"),
    [
        (["--mesh.data", "3"], "mesh", "does not fit the 1 device"),
        (["--corpus.source", "apidocs:nump"], "data", "nump"),
        (["--vocabulary.model", "no.model"], "vocabulary", "cannot use no.model as the vocabulary: No such file"),
        (["--retrieval.model.weights", "./none"], "weights", "none"),
        (["--retrieval.batch.length", "65"], "settings", "the examples hold 64 tokens"),
    ],
)
def test_what_is_wrong_is_named(config, capsys, words, what, said):
    assert said in wrong(checked(capsys, config, *words, code=2))[what]


def test_what_needs_a_mesh_is_not_tried_without(config, capsys):
    found = checked(capsys, config, "--mesh.data", "3", code=2)
    assert list(wrong(found)) == ["mesh"]
    assert set(CHECKED) - set(found) == {"batch"}


def test_a_workdir_that_cannot_be_written(config, capsys):
    (config.parent / "run").write_text("a file")
    found = checked(capsys, config, code=2)
    assert "cannot be written" in wrong(found)["workdir"]
    assert set(CHECKED) - set(found) == {"hosts", "disk"}


def test_a_disk_that_is_too_small(config, capsys, monkeypatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert "0.0 GB are free at" in wrong(checked(capsys, config, code=2))["disk"]


@pytest.mark.parametrize(
    ("told", "ok", "said"),
    [
        (["+here", "+there"], True, "here"),
        (["+here", "-no disk"], False, "host 1: no disk"),
        (["-no disk", "-no disk"], False, "no disk"),
        (["-no", "-disk"], False, "host 0: no; host 1: disk"),
        (["+here", *["-no"] * 6], False, "host 1: no; host 2: no; host 3: no; host 4: no; and 2 more hosts"),
    ],
)
def test_hosts_where_something_fails_are_named(monkeypatch, told, ok, said):
    monkeypatch.setattr(preflight, "texts_of_all", lambda text: told)
    assert preflight._on_all("disk", lambda: "here") == preflight.Finding("disk", ok, said)
