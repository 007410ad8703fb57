"""`gr2 rehearse`: every stage is measured once, what a kill leaves is gone on from, and the rest is arithmetic."""

import dataclasses
import json
import types

import pytest

from gr2_jax.cli import main
from gr2_jax.errors import NotInstalled, UserError
from gr2_jax.experiment import BatchConfig, CorpusConfig, DocidConfig, Experiment, VocabularyConfig
from gr2_jax.experiment.loading import load_experiment
from gr2_jax.lock import holding
from gr2_jax.pipeline.rows import BASELINES, SelfNegatives, System
from gr2_jax.pipeline.schemes import FusionQueries, Keywords, Titles
from gr2_jax.planning import bill as billing
from gr2_jax.planning import rehearsal
from gr2_jax.planning.bill import bill, trainings_of
from gr2_jax.planning.generated_collection import Statistics, load_statistics
from gr2_jax.planning.plan import Pod
from gr2_jax.planning.rehearsal import REPORT, rehearse, rehearsed, whole_collection, written_by_models
from gr2_jax.planning.rehearsal_table import bill_table, rehearsal_lines, stage_table
from gr2_jax.recipes.overlays import with_batch
from gr2_jax.recipes.scratch import retrieval
from gr2_jax.training.chips import CHIPS

STATISTICS = Statistics(
    documents=10_000,
    words=20.0,
    median_words=15.0,
    title_words=3.0,
    untitled=0.1,
    duplicates=0.1,
    url_depth=2.0,
    queries=20,
    query_words=2.0,
    judged=((2, 1.0), (1, 2.0), (0, 3.0)),
    different_words=300,
)
BATCH = BatchConfig(queries=4, indexing_texts=4, length=8, shortest_span=2, longest_span=6)
EXPERIMENT = Experiment(
    name="large",
    corpus=CorpusConfig(source="irds:nowhere", validation_queries=3, test_queries=5),
    vocabulary=VocabularyConfig(size=150, extra_ids=20),
    docids=DocidConfig(schemes=(Keywords(),)),
    retrieval=retrieval(steps=1000, batch=BATCH),
    rows=(System("GR2S", "keywords"),),
)
STAGES = ["corpus", "vocabulary", "examples", "docids/keywords", "quality/keywords"]
EXAMPLES = [f"examples/{name}" for name in ("queries", "pseudo", "documents", "semantics")]
DOCIDS = [f"docids/keywords/{name}" for name in ("assignment", "trie", "docids.tsv")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The workdir of a rehearsal, and what it returned."""
    directory = tmp_path_factory.mktemp("rehearsals") / "whole"
    return directory, rehearse(EXPERIMENT, STATISTICS, directory, 200)


def read(directory):
    return json.loads((directory / REPORT).read_text())


def test_every_stage_is_measured_over_half_the_documents_and_all(finished):
    directory, report = finished
    assert json.loads(json.dumps(report)) == read(directory)
    parts = {*STAGES, *EXAMPLES, *DOCIDS, "collection", "opened", "batches"}
    assert report["measured"].keys() == {"100", "200"}
    assert set(report["measured"]["100"]) == parts
    assert set(report["measured"]["200"]) == {*parts, "training", "vectors/GR2S"}
    assert set(report["whole"]) == parts - {"collection", "batches"}


@pytest.mark.parametrize("stage", STAGES)
def test_disk_is_what_the_stage_holds(finished, stage):
    """But for its record, which is written when all is measured."""
    directory, report = finished
    files = [path for path in (directory / "200" / stage).rglob("*") if path.is_file() and path.name != "stage.json"]
    assert report["measured"]["200"][stage]["disk_bytes"] == sum(path.stat().st_size for path in files) > 0


def test_documents_are_those_that_were_asked_for(finished):
    directory, _ = finished
    for size in (100, 200):
        assert len((directory / f"{size}/corpus/documents.jsonl").read_text().splitlines()) == size


def test_a_second_start_measures_nothing_again(finished):
    directory, report = finished
    assert rehearse(EXPERIMENT, STATISTICS, directory, 200)["measured"] == report["measured"]


def test_a_bill_stays_with_the_experiment_that_it_is_of(finished):
    directory, report = finished
    (directory / REPORT).write_text(json.dumps(report | {"bill": []}))
    assert rehearse(EXPERIMENT, STATISTICS, directory, 200)["bill"] == []
    longer = dataclasses.replace(EXPERIMENT, retrieval=retrieval(steps=2000, batch=BATCH))
    changed = rehearse(longer, STATISTICS, directory, 200)
    assert changed["measured"] == report["measured"]
    assert "bill" not in changed
    assert "bill" not in read(directory)


def test_a_locked_rehearsal_is_left_alone(tmp_path):
    with holding(tmp_path / "run", tmp_path / "run.lock"), pytest.raises(UserError, match="in use"):
        rehearse(EXPERIMENT, STATISTICS, tmp_path / "run", 200)
    assert not (tmp_path / "run").exists()


def test_it_goes_on_after_a_kill(tmp_path, monkeypatch):
    def killed(run, compared):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rehearsal, "make_docids", killed)
        with pytest.raises(KeyboardInterrupt):
            rehearse(EXPERIMENT, STATISTICS, tmp_path / "run", 200)
    before = read(tmp_path / "run")["measured"]
    assert set(before) == {"100"}
    assert {"corpus", *EXAMPLES} <= set(before["100"])
    after = rehearse(EXPERIMENT, STATISTICS, tmp_path / "run", 200)["measured"]
    kept = set(before["100"]) - {"opened"}
    assert {part: after["100"][part] for part in kept} == {part: before["100"][part] for part in kept}
    assert {*STAGES, *DOCIDS} <= set(after["100"])
    assert set(after["200"]) == {*after["100"], "training", "vectors/GR2S"}


def test_the_command_trains_and_prints(tmp_path, monkeypatch, capsys):
    config = tmp_path / "config.py"
    config.write_text(
        "from test_rehearsal import EXPERIMENT, STATISTICS\nexperiment, statistics = EXPERIMENT, STATISTICS\n"
    )
    pretraining = tmp_path / "wikipedia.py"
    pretraining.write_text("raise RuntimeError('loaded')")  # without a bill nobody asks for it
    words = ["rehearse", str(config), "--workdir", str(tmp_path / "run"), "--documents", "100"]
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    first = [line.split()[1] for line in printed.splitlines() if line.startswith("|")][2:-1]
    assert [name for name in first if name in STAGES] == STAGES
    assert first[-2:] == ["training", "vectors/GR2S"]
    assert "large: 100 generated documents, measured; all 10,000 by the line through 50 and 100" in printed
    pretraining.unlink()
    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", lambda topology: None)
    monkeypatch.setattr(billing.Pod, "of", no_compiler)
    with pytest.raises(SystemExit):
        main([*words, "--json", "--topology", "v5e:2x4"])
    shown = capsys.readouterr()
    assert "v5e:2x4 will be left out of the bill: no compiler" in shown.err
    report = json.loads(shown.out)
    assert report == read(tmp_path / "run")
    assert report["bill"] == [{"training": "S large", "topology": "v5e:2x4", "left_out": "no compiler"}]
    with pytest.raises(SystemExit):
        main(words)
    assert "left out: S large, v5e:2x4: no compiler" in capsys.readouterr().out
    assert read(tmp_path / "run") == report


def no_compiler(topology, slices):
    raise NotInstalled("no compiler")


def test_an_unknown_topology_is_refused_before_the_rehearsal(tmp_path, monkeypatch, capsys):
    def of(topology, slices):
        raise UserError(f"{topology} is not available") if topology == "v5e:3x5" else NotInstalled("no compiler")

    monkeypatch.setattr("gr2_jax.planning.topology.prepare_environment", lambda topology: None)
    monkeypatch.setattr(billing.Pod, "of", of)
    words = ["rehearse", "configs/gov2.py", "--workdir", str(tmp_path / "run"), "--documents", "100"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--topology", "h100:8", "--topology", "v5e:3x5"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "h100:8 will be left out of the bill: no compiler" in said
    assert "v5e:3x5 is not available" in said
    assert not (tmp_path / "run").exists()


def test_the_rehearsed_run_differs_in_size_alone():
    """The batches, the docids and the split are those of the config; models are tiny, and one row trains."""
    rows = (
        System("GR2S-0", "keywords"),
        System("GR2S", "keywords", self_negatives=SelfNegatives("GR2S-0")),
        *BASELINES,
    )
    folds = dataclasses.replace(EXPERIMENT.corpus, folds=5, documents=1000)
    tiny = rehearsed(dataclasses.replace(EXPERIMENT, rows=rows, corpus=folds), STATISTICS)
    assert tiny.retrieval.batch == BATCH  # of at most 64 queries and texts
    assert tiny.retrieval.optimiser.steps == 20
    assert tiny.docids == EXPERIMENT.docids
    assert [row.name for row in tiny.rows] == ["GR2S-0"]
    assert (tiny.corpus.folds, tiny.corpus.documents, tiny.corpus.test_queries) == (0, None, 4)


def test_large_batches_a_t5s_vocabulary_and_generated_queries_are_not_rehearsed():
    experiment = load_experiment("configs/clueweb09b.py", "configs/variants/generated_queries.py")
    tiny = rehearsed(with_batch(experiment, microbatches=2), load_statistics("configs/clueweb09b.py"))
    batch = tiny.retrieval.batch
    assert (batch.queries, batch.indexing_texts, batch.microbatches) == (64, 64, 1)
    assert batch.length == experiment.retrieval.batch.length
    assert tiny.vocabulary == VocabularyConfig(size=32_000, extra_ids=experiment.vocabulary.extra_ids)
    assert (tiny.augmentation.generated, tiny.augmentation.generator) == (0, None)
    assert [row.name for row in tiny.rows] == ["GR2S-no-negatives"]


@pytest.mark.parametrize(
    ("changes", "statistics", "documents", "said"),
    [
        ({}, {}, 99, "--documents is 99: a rehearsal of large takes 100 to 10,000 documents"),
        ({}, {}, 10_001, "--documents is 10,001"),
        ({"rows": BASELINES}, {}, 200, "large trains no row"),
        ({}, {"queries": 8}, 200, "large holds out 8 of 8 queries"),
        ({"docids": DocidConfig(schemes=(Titles(),))}, {}, 200, "docids.schemes.title needs a title .* 10% have none"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_before_the_work(tmp_path, changes, statistics, documents, said):
    experiment = dataclasses.replace(EXPERIMENT, **changes)
    with pytest.raises(UserError, match=said):
        rehearse(experiment, dataclasses.replace(STATISTICS, **statistics), tmp_path / "run", documents)
    assert not (tmp_path / "run").exists()


def test_a_workdir_of_something_else_is_refused(finished, tmp_path):
    directory, _ = finished
    other = dataclasses.replace(STATISTICS, words=21.0)
    with pytest.raises(UserError, match=r"rehearsal.json is of another experiment or other statistics"):
        rehearse(EXPERIMENT, other, directory, 200)
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(UserError, match="exists and is not empty"):
        rehearse(EXPERIMENT, STATISTICS, tmp_path, 200)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["configs/cranfield.py"], "configs/cranfield.py defines no `statistics"),
        (["configs/wikipedia.py"], "configs/wikipedia.py is a pre-training"),
        (
            ["configs/gov2.py", "--pretraining", "configs/wikipedia.py"],
            "--pretraining is of the bill, which needs --top",
        ),
        (["configs/gov2.py", "--quick"], "--quick is of the bill, which needs --topology"),
        (["configs/gov2.py", "--topology", "v9:2x2"], "no chip 'v9'"),
        (["configs/gov2.py", "--workdir", "gs://bucket/run"], "gs://bucket/run is in a bucket"),
    ],
)
def test_a_command_that_cannot_work_is_refused(words, said, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        main(["rehearse", "--workdir", str(tmp_path / "run"), *words])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_pretraining_of_a_bill_is_one():
    with pytest.raises(UserError, match=r"configs/gov500k.py is no pre-training"):
        trainings_of(["configs/gov2.py"], [], "configs/gov500k.py")


def figures(began=0.0, **changes):
    names = ("seconds", "cpu_seconds", "memory_bytes", "process_bytes", "disk_bytes")
    return {"began": began} | dict.fromkeys(names, 0.0) | changes


def test_the_whole_is_on_the_line_through_both():
    half = {"corpus": figures(seconds=30.0, memory_bytes=9.0), "collection": figures(), "vectors/GR2S": figures()}
    full = {"corpus": figures(seconds=50.0, memory_bytes=7.0), "collection": figures(), "vectors/GR2S": figures()}
    found = whole_collection({"100": half, "200": full}, 200, 1000)
    assert set(found) == {"corpus"}
    assert found["corpus"]["seconds"] == 10 + 0.2 * 1000  # a constant part of 10
    assert found["corpus"]["memory_bytes"] == 7  # it does not fall


def test_docids_that_a_tiny_model_wrote_are_not_reckoned_for_the_whole(finished):
    parts = ("docids/fusion", "docids/fusion/trie", "docids/keywords", "quality/fusion", "examples/fusion")
    by_size = {size: dict.fromkeys(parts, figures()) for size in ("100", "200")}
    both = dataclasses.replace(EXPERIMENT, docids=DocidConfig(schemes=(Keywords(), FusionQueries("fusion"))))
    written = written_by_models(both)
    assert set(whole_collection(by_size, 200, 1000, written)) == {"docids/keywords", "examples/fusion"}
    lines = "\n".join(rehearsal_lines("large", finished[1] | {"written": written}))
    assert "docids/fusion, quality/fusion: not in the columns of all" in lines
    assert "not in the columns of all" not in "\n".join(rehearsal_lines("large", finished[1]))


def test_the_table_counts_each_stage_once():
    measured = {
        "examples/pseudo": figures(2.0, seconds=3.0, disk_bytes=1000.0),
        "examples": figures(1.0, seconds=4.0, disk_bytes=1500.0, memory_bytes=2**21, process_bytes=2.0**22),
        "corpus": figures(0.5, seconds=2.0, disk_bytes=500.0, memory_bytes=2**22, process_bytes=2.0**21),
        "collection": figures(0.0, seconds=9.0, disk_bytes=900.0),
    }
    whole = {part: figures(cpu_seconds=7200.0) for part in ("examples", "examples/pseudo", "corpus")}
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in stage_table(measured, whole, 100).split("\n")
    ]
    assert [line[0] for line in lines[2:]] == [
        "collection",
        "corpus",
        "examples",
        "examples/pseudo",
        "a run without training",
    ]
    assert lines[-1][1:5] == ["6", "0", "4", "20"]  # seconds, CPU seconds, MiB of the process, bytes a document
    assert lines[-1][5] == "4"
    assert lines[2][5:] == ["-"] * 3  # a run over the real collection generates none


def test_a_rehearsal_below_the_size_of_samples_says_so(finished):
    _, report = finished
    assert "rehearse with more" not in "\n".join(rehearsal_lines("large", report))
    more = report | {"statistics": report["statistics"] | {"documents": 1_000_000}}
    assert "still grows below 200,000 documents" in "\n".join(rehearsal_lines("large", more))


def test_the_bill_takes_the_overlay_of_the_pod(monkeypatch):
    """Of both trainings of a collection's config, without compiling."""
    priced = {"fits": True, "chips": 256, "step_seconds": [0.004, 0.006], "steps": 50_000}
    priced |= {"hours": [0.05, 0.08], "chip_hours": [14.0, 21.0]}
    monkeypatch.setattr(Pod, "of", lambda *_: Pod("v5e:16x16", CHIPS["v5e"], [types.SimpleNamespace()] * 256))
    monkeypatch.setattr(billing, "plan_training", lambda settings, *_, **__: {f"tensor {settings.mesh.tensor}": priced})
    trainings = trainings_of(["configs/clueweb09b.py"], [], None)
    assert [training.name for training in trainings] == ["P wikipedia", "S clueweb09b"]
    lines = bill(trainings, ["v5e:16x16"], quick=True)
    assert [line["overlay"] for line in lines] == ["configs/pods/v5e_256.py"] * 2
    table = bill_table([*lines, {"training": "S x", "topology": "h100:8", "left_out": "no compiler"}])
    assert "14.0 to 21.0" in table
    assert table.endswith("\nleft out: S x, h100:8: no compiler")
    assert "does not fit" in bill_table([lines[0] | {"fits": False}])
