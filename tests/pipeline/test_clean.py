"""`gr2 clean` in workdirs that are made by hand; tests/pipeline/test_seeds_run.py cleans a trained one."""

import os
import shutil

import pytest
from small_collection import small_experiment

from gr2_jax import lock
from gr2_jax.cli import main
from gr2_jax.experiment import AugmentationConfig, DocidConfig
from gr2_jax.experiment.loading import to_record
from gr2_jax.files import write_json
from gr2_jax.lock import holding
from gr2_jax.pipeline.clean import clean
from gr2_jax.pipeline.open_run import open_run
from gr2_jax.pipeline.schemes import PlainQueries, Titles
from gr2_jax.pipeline.schemes.plain_queries import generator_of
from gr2_jax.pipeline.stage import Stage

A, B = "a" * 16, "b" * 16
TRAININGS = {"GR2S": A, "Gone": A}
KEPT = (
    f"checkpoints/GR2S-{A}/10",
    "checkpoints/mine/of-somebody",  # no run made it
    f"searched/BM25-{A}",  # which fingerprint it would have is not known here
    "vectors/GR2S",
    "pieces/GR2S",
    "weights/GR2S",
    "docids/title",
    "quality/title",
    "candidates/title",
    "corpus",
    "examples",
    "runs/GR2S",
    "runs/Gone",  # the next run puts it away
    "metrics/test",
    "evaluations/x/parts",
)
FREED = (
    f"checkpoints/GR2S-{B}",  # of other settings
    f"checkpoints/Gone-{A}",  # of a row that the table does not have
    f"checkpoints/GR2S-{B}.partial",  # a removal that was killed
    f"checkpoints/GR2S-{A}/20.orbax-checkpoint-tmp-1",
    f"searched/Gone-{A}",
    "vectors/Gone",
    "weights/GR2S.partial",
    "negatives/Gone",
    "docids/rq",
    "docids/title.partial",
    "quality/rq",
    "candidates/rq",
    f"pieces/{A}",
    "pieces/Gone",
    "corpus.partial",
    "vocabulary.old",
    "runs/old",
    "runs/GR2S.partial",
)


def fill(root, folders):
    """Ten bytes, and the record of a stage, in each folder."""
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "stage.json").write_text("{}")
        (root / folder / "file").write_text("12345678")
        if folder.endswith("runs/old"):
            (root / folder / "Gone-x").mkdir()
        if folder.endswith(("pieces/GR2S", "pieces/Gone")):
            (root / folder / A).mkdir()


def there(root):
    return sorted(str(path.parent.relative_to(root)) for path in root.rglob("file"))


@pytest.fixture
def workdir(tmp_path):
    """A run by hand with what is needed and what is not."""
    root = tmp_path / "w"
    fill(root, (*KEPT, *FREED))
    write_json(root / "config.json", {"experiment": to_record(small_experiment()), "trainings": TRAININGS})
    return root


@pytest.fixture
def gr2(capsys):
    def call(*words):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        return left.value.code, *capsys.readouterr()

    return call


def test_what_no_row_needs_is_listed_and_nothing_else(workdir):
    found = clean(workdir, remove=False)
    assert sorted(str(path.relative_to(workdir)) for path, _, _ in found) == sorted(FREED)
    assert {size for _, size, _ in found} == {10}
    assert there(workdir) == sorted((*KEPT, *FREED))
    clean(workdir, remove=True)
    assert there(workdir) == sorted(KEPT)
    assert clean(workdir, remove=True) == []
    assert not (workdir / ".lock").exists()


def test_pieces_of_texts_stay_until_they_are_joined(workdir):
    shutil.rmtree(workdir / "examples")
    clean(workdir, remove=True)
    assert (workdir / f"pieces/{A}/file").is_file()


def test_the_command_shows_first_and_removes_when_told(gr2, workdir):
    code, out, _ = gr2("clean", workdir)
    lines = out.splitlines()
    assert (code, len(lines)) == (0, len(FREED) + 1)
    assert f"      0.0 kB  {workdir}/checkpoints/GR2S-{B}  (a training that no row of the table has)" in lines
    assert f"      0.0 kB  {workdir}/runs/old  (lists that the table no longer reads)" in lines
    assert lines[-1].endswith("would be freed: nothing is removed yet; to remove it, add --yes")
    assert there(workdir) == sorted((*KEPT, *FREED))
    code, again, _ = gr2("clean", workdir, "--yes")
    assert again.splitlines()[:-1] == lines[:-1]
    assert again.endswith(" freed\n")
    assert there(workdir) == sorted(KEPT)
    assert gr2("clean", workdir, "--yes")[1].startswith("nothing to free: ")


def test_what_is_linked_to_from_elsewhere_stays(workdir, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (workdir / "checkpoints" / f"Linked-{B}").symlink_to(tmp_path / "elsewhere")
    clean(workdir, remove=True)
    assert (workdir / "checkpoints" / f"Linked-{B}").is_symlink()


@pytest.mark.parametrize(
    ("words", "message"), [(["clean"], "required: workdir"), (["clean", "w", "--ye"], "'--ye' is no")]
)
def test_wrong_words(gr2, words, message):
    code, out, err = gr2(*words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_folder_without_a_run_is_left_alone(gr2, tmp_path):
    (tmp_path / "checkpoints" / f"GR2S-{A}").mkdir(parents=True)
    code, _, err = gr2("clean", tmp_path, "--yes")
    assert code == 2
    assert err.startswith(f"gr2: {tmp_path} holds no run (no config.json)")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
    assert gr2("clean", tmp_path / "none")[0] == 2
    assert not (tmp_path / "none").exists()


@pytest.fixture
def seeds(tmp_path):
    """Seed 1 of two, and what a run without seeds left around them."""
    root, experiment = tmp_path / "w", to_record(small_experiment())
    fill(root, [*(f"seed-1/{folder}" for folder in (*KEPT, *FREED)), *KEPT, "seed-9"])
    write_json(root / "config.json", {"experiment": experiment, "seeds": [0, 1]})
    write_json(root / "seed-1" / "config.json", {"experiment": experiment, "trainings": TRAININGS})
    return root


def test_seeds_are_cleaned_each_by_itself_and_the_folder_around_them_has_no_models(seeds):
    clean(seeds, remove=True)
    around = {"checkpoints/mine/of-somebody", "runs/GR2S", "runs/Gone", "metrics/test", "evaluations/x/parts", "seed-9"}
    assert there(seeds) == sorted({*around, *(f"seed-1/{folder}" for folder in KEPT)})


def test_folds_keep_the_judgements_of_all(tmp_path):
    fill(tmp_path, KEPT)
    write_json(tmp_path / "config.json", {"experiment": to_record(small_experiment()), "folds": 2})
    clean(tmp_path, remove=True)
    assert {"corpus", "runs/GR2S"} < set(there(tmp_path))
    assert not {"examples", f"checkpoints/GR2S-{A}/10", "vectors/GR2S"} & set(there(tmp_path))


@pytest.mark.parametrize(("held", "cleaned"), [("", ""), ("seed-1", ""), ("", "seed-1")])
def test_a_workdir_that_a_job_holds_is_refused(gr2, seeds, monkeypatch, held, cleaned):
    monkeypatch.setattr(lock, "_LEAVES_WITHIN", 0.0)
    before = there(seeds)
    with holding(seeds / held):
        code, out, err = gr2("clean", seeds / cleaned, "--yes")
    assert (code, out) == (2, "")
    assert f"{seeds / held} is in use: process {os.getpid()}" in err
    assert there(seeds) == before


def test_models_and_searches_of_the_present_settings_are_kept(tmp_path):
    """With a stage examples/ their fingerprints are known, and others are freed."""
    writer = PlainQueries()
    experiment = small_experiment(
        docids=DocidConfig(schemes=(Titles(), writer)), augmentation=AugmentationConfig(generated=1)
    )
    Stage(tmp_path / "examples", A).build(lambda out: None)
    write_json(tmp_path / "config.json", {"experiment": to_record(experiment), "trainings": {"GR2S": A}})
    run = open_run(tmp_path)
    kept = {f"checkpoints/docids-qg-{writer.training_fingerprint(run)}"}
    kept |= {f"checkpoints/docids-generated-{generator_of(experiment).training_fingerprint(run)}"}
    kept |= {f"searched/{row.name}-{row.fingerprint(run)}" for row in run.rows}
    kept |= {"candidates/generated", "candidates/qg"}
    freed = {"checkpoints/docids-qg", "checkpoints/docids-generated", "searched/GR2S", "searched/BM25"}
    freed = {f"{folder}-{B}" for folder in freed}
    fill(tmp_path, [*kept, *freed])
    clean(tmp_path, remove=True)
    assert set(there(tmp_path)) == kept
