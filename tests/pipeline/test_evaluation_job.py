"""`gr2 evaluate RUN`: the checkpoints of a run, on its own queries and on others, killed, shared, and wrong."""

import dataclasses
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import virtual_devices
import yaml
from searched_run import searched_experiment
from small_collection import TEXTS

from gr2_jax import open_retriever
from gr2_jax.checksums import sealed
from gr2_jax.cli import main
from gr2_jax.corpus import read_qrels, read_run
from gr2_jax.errors import RESTART, UserError
from gr2_jax.evaluation import evaluate_run
from gr2_jax.files import read_json, write_json
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.pipeline.workdir import Workdir


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    experiment = searched_experiment(tmp_path_factory.mktemp("corpus"))
    workdir = Workdir(tmp_path_factory.mktemp("job") / "run")
    run_experiment(experiment, workdir.root)
    return experiment, workdir


def command(*arguments):
    """Exit code of `gr2 evaluate ...`."""
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return stop.value.code


def test_the_job_writes_what_the_run_wrote(finished, tmp_path, capsys):
    experiment, workdir = finished
    assert command(workdir.root, "--output", tmp_path, "--json", "-k", 6) == 0
    result = json.loads(capsys.readouterr().out)
    assert (tmp_path / "run.trec").read_bytes() == (workdir.runs / "GR2S/test.trec").read_bytes()
    qrels, found = read_qrels(workdir.corpus / "test.qrels"), read_run(tmp_path / "run.trec")
    measures = result["measures"]
    assert list(measures) == ["nDCG@5", "nDCG@20", "P@20", "ERR@20"]  # judgements of grade 2: graded
    assert measures == pytest.approx(evaluate_run(found, qrels, list(measures)))
    assert read_json(tmp_path / "metrics.json")["measures"] == measures
    lines = [line.split("\t") for line in (tmp_path / "per_query.tsv").read_text().splitlines()]
    assert len(lines) == 20 * 4
    assert np.mean([float(value) for name, _, value in lines if name == "nDCG@20"]) == pytest.approx(
        measures["nDCG@20"]
    )
    facts = result["provenance"]
    (directory,) = (workdir.root / "checkpoints").glob("GR2S-*")
    assert facts["models"] == {
        "GR2S": {
            "training": directory.name.removeprefix("GR2S-"),
            "step": 20,
            "vocabulary": Run(experiment, workdir.root).tokenizer.fingerprint,
            "docids": read_json(workdir.docids("title") / "stage.json")["fingerprint"],
        }
    }
    assert (facts["queries"], facts["k"], facts["search"]["beams"]) == (20, 6, 6)
    assert not (tmp_path / "parts").exists()


def test_other_queries_another_width_and_no_judgements(finished, tmp_path, capsys):
    _, workdir = finished
    queries = tmp_path / "mine.tsv"
    queries.write_text("one\thow to sort cubic\ntwo\tsparse root\n")
    assert (
        command(workdir.root, "--queries", queries, "-k", 3, "--exact", "exhaustive", "--output", tmp_path / "a") == 0
    )
    assert "2 queries" in (printed := capsys.readouterr().out)
    assert "100.0% of the lists are proven" in printed
    found = read_run(tmp_path / "a/run.trec")
    assert {query: len(hits) for query, hits in found.items()} == {"one": 3, "two": 3}
    assert not (tmp_path / "a/per_query.tsv").exists()
    assert command(workdir.root, "--queries", queries, "-k", 3, "--exact", "adaptive", "--output", tmp_path / "b") == 0
    adaptive = read_run(tmp_path / "b/run.trec")
    assert [[doc for doc, _ in hits] for hits in adaptive.values()] == [
        [doc for doc, _ in hits] for hits in found.values()
    ]


def test_any_checkpoint_of_a_training_that_goes_on(finished, tmp_path, capsys):
    """A run whose row is not done: config.json names its training, whose stage file has no fingerprint yet."""
    _, workdir = finished
    copy = Workdir(tmp_path / "run")
    shutil.copytree(workdir.root, copy.root)
    (checkpoints,) = (copy.root / "checkpoints").glob("GR2S-*")
    begun = {name: read_json(checkpoints / "stage.json")[name] for name in ("t5", "vocabulary", "docids")}
    write_json(checkpoints / "stage.json", begun)
    assert command(copy.root, "--step", 20, "--output", tmp_path / "out", "-k", 6) == 0
    assert (tmp_path / "out/run.trec").read_bytes() == (workdir.runs / "GR2S/test.trec").read_bytes()
    capsys.readouterr()
    assert command(copy.root, "--step", 7) == 2
    assert "has no checkpoint of step 7, only of steps 16, 20" in capsys.readouterr().err


def test_validation_while_training(finished):
    _, workdir = finished
    (curve,) = (workdir.root / "checkpoints").glob("GR2S-*/validation.jsonl")
    lines = [json.loads(line) for line in curve.read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 20]
    last = {name: value for name, value in lines[-1].items() if name != "step"}
    found, qrels = read_run(workdir.runs / "GR2S/validation.trec"), read_qrels(workdir.corpus / "validation.qrels")
    assert last == pytest.approx(evaluate_run(found, qrels, list(last)))


def test_validation_changes_neither_the_training_nor_its_fingerprint(finished, tmp_path, capsys):
    experiment, workdir = finished
    without = dataclasses.replace(experiment, retrieval=dataclasses.replace(experiment.retrieval, evaluate_every=0))
    other = Workdir(tmp_path / "run")
    run_experiment(without, other.root)
    assert read_json(other.config)["trainings"] == read_json(workdir.config)["trainings"]
    assert (other.runs / "GR2S/test.trec").read_bytes() == (workdir.runs / "GR2S/test.trec").read_bytes()
    capsys.readouterr()
    run_experiment(experiment, other.root)
    assert "GR2S is trained already: retrieval.evaluate_every" in capsys.readouterr().err


def test_what_cannot_be_evaluated_is_said_in_one_sentence(finished, tmp_path, capsys):
    _, workdir = finished
    queries, qrels = tmp_path / "queries.tsv", tmp_path / "qrels.txt"
    queries.write_text("one\thow to sort\n")
    qrels.write_text("other 0 d1 1\n")
    empty = tmp_path / "empty.tsv"
    empty.touch()
    for arguments, message in [
        ((tmp_path,), "holds no run (no config.json)"),
        ((workdir.root, "--row", "GR2"), "has no row 'GR2': did you mean 'GR2S'?"),
        ((workdir.root, "--exact", "adaptiv"), "exact is 'adaptiv': did you mean 'adaptive'?"),
        ((workdir.root, "-k", 0), "a search returns 1 to 10,000 documents, not 0"),
        ((workdir.root, "--measures", "ndcg@20"), "unknown measure 'ndcg@20'"),
        ((workdir.root, "--queries", queries, "--qrels", qrels), "have no query id in common"),
        ((workdir.root, "--qrels", qrels), "judges queries that are not given: add --queries FILE"),
        ((workdir.root, "--queries", empty), "has no topics: it is empty"),
        ((workdir.root, "--retrieval.batch.queries", "3"), "is for a config file"),
    ]:
        assert command(*arguments, "--output", tmp_path / "out") == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not (tmp_path / "out/run.trec").exists()
    (stage,) = (workdir.root / "checkpoints").glob("GR2S-*/stage.json")
    original = stage.read_text()
    for name in ("vocabulary", "docids"):
        write_json(stage, sealed(json.loads(original) | {name: "another"}))
        assert command(workdir.root) == 2
        assert f"was trained with {name} another, but" in capsys.readouterr().err
    stage.write_text(original)


def test_another_experiment_in_the_workdir_leaves_trained_rows_searchable(finished, tmp_path):
    experiment, workdir = finished
    copy = shutil.copytree(workdir.root, tmp_path / "run")
    other = dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, beams=5))
    run_experiment(other, copy, until="docids")
    (hits,) = open_retriever(copy).search(["how to sort"], k=3)
    assert len(hits) == 3


def test_a_run_file_says_how_it_was_made_and_is_read_and_scored_alike(finished, tmp_path):
    _, workdir = finished
    for name, asked in (("bare", ()), ("told", ("--metadata",))):
        assert command(workdir.root, "--row", "BM25", "--output", tmp_path / name, *asked) == 0
    bare, told = ((tmp_path / name / "run.trec").read_text() for name in ("bare", "told"))
    header, _, rest = told.partition("# ir_metadata.end\n")
    assert rest == bare
    first, *lines = header.splitlines()
    assert first == "# ir_metadata.start"
    assert all(line.startswith("# ") for line in lines)
    about = yaml.safe_load("\n".join(line[2:] for line in lines))
    assert {"platform", "implementation", "resources", "method", "data"} <= set(about)
    assert (about["tag"], about["data"]["test collection"]["queries"]) == ("BM25", 20)
    assert read_run(tmp_path / "told/run.trec") == read_run(tmp_path / "bare/run.trec")
    (tmp_path / "cut").write_text(told.replace("# ir_metadata.start\n", ""))
    with pytest.raises(UserError, match="line 1: expected 6 columns"):  # a comment is no line of a run elsewhere
        read_run(tmp_path / "cut")


def test_validation_queries_that_are_missing_are_refused_before_anything_is_done(finished, tmp_path):
    experiment, _ = finished
    none = dataclasses.replace(
        experiment,
        corpus=dataclasses.replace(experiment.corpus, validation_queries=0),
        retrieval=dataclasses.replace(experiment.retrieval, evaluate_every=0),
    )
    with pytest.raises(UserError, match="no validation queries"):
        run_experiment(none, tmp_path / "run", part="validation")
    with pytest.raises(UserError, match="no stage 'evalute': did you mean 'evaluate'"):
        run_experiment(experiment, tmp_path / "run", until="evalute")
    assert not (tmp_path / "run").exists()


def search(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["search", *map(str, arguments)])
    return stop.value.code


def test_queries_from_a_pipe_are_evaluated_as_those_of_a_file_into_one_folder(finished, tmp_path, capsys):
    _, workdir = finished
    (tmp_path / "queries.tsv").write_text("1\tsort cubic\n2\tsparse root\n")
    (tmp_path / "qrels").write_text("1 0 d1 2\n2 0 d2 1.0\n")

    def evaluated(queries, qrels):
        assert command(workdir.root, "--row", "BM25", "--queries", queries, "--qrels", qrels, "--json") == 0
        return json.loads(capsys.readouterr().out)

    def piped(file):
        reading, writing = os.pipe()
        os.write(writing, (tmp_path / file).read_bytes())
        os.close(writing)
        return reading, f"/dev/fd/{reading}"

    results = []
    held = os.open(os.devnull, os.O_RDONLY)  # a number that is ours: the pipe's name is the same each time
    for _ in range(2):
        (one, _), (two, qrels) = piped("queries.tsv"), piped("qrels")
        os.dup2(one, held)
        results.append(evaluated(f"/dev/fd/{held}", qrels))
        os.close(one)
        os.close(two)
    os.close(held)
    assert results[0]["output"] == results[1]["output"]
    assert results[0]["measures"] == evaluated(tmp_path / "queries.tsv", tmp_path / "qrels")["measures"]
    shutil.rmtree(results[0]["output"])


def test_search_one_query(finished, capsys):
    _, workdir = finished
    assert search("how to sort", "cubic", "--workdir", workdir.root, "-k", 3, "--exact", "adaptive", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["query"] == "how to sort cubic"
    assert [hit["proven"] for hit in result["hits"]] == [True] * 3
    assert search("how to sort cubic", "--workdir", workdir.root, "-k", 3, "--exact", "adaptive") == 0
    lines = capsys.readouterr().out.splitlines()
    for rank, hit in enumerate(result["hits"], start=1):
        number = int(hit["doc_id"][1:])
        assert lines[2 * rank - 2] == f"{rank:2d}  {hit['score']:8.3f}  {hit['doc_id']}  [{hit['docid']}]"
        assert lines[2 * rank - 1].strip() == f"{TEXTS[number]} again"
    assert lines[-1] == "proven: no other document of the collection scores higher than these 3"


def test_search_reads_queries_from_a_pipe(finished, capsys, monkeypatch):
    _, workdir = finished
    monkeypatch.setattr(sys, "stdin", io.StringIO("sort cubic\n\nsparse root\n"))
    assert search("--workdir", workdir.root, "-k", 2, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["query"], len(line["hits"])) for line in lines] == [("sort cubic", 2), ("sparse root", 2)]


def test_search_refuses_in_one_sentence(finished, capsys):
    _, workdir = finished
    for arguments, message in [
        (["a", "-k", 0], "-k of at least 1"),
        ([" "], "a query with words in it"),
        (["a", "--exact", "yes"], "exact is 'yes'"),
        (["a", "--beams", 0], "beams is 0"),
    ]:
        assert search(*arguments, "--workdir", workdir.root) == 2
        assert message in capsys.readouterr().err


def job(workdir, output, *slow, **environment):
    """A job in a process of its own; its lines as they come."""
    script = Path(__file__).with_name("searched_run.py")
    return subprocess.Popen(
        [sys.executable, str(script), str(workdir.root), str(output), *map(str, slow)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
    )


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_struck_in_the_middle_the_same_command_goes_on(finished, tmp_path, blow):
    """20 queries in parts of 8: struck while the second part is searched."""
    _, workdir = finished
    first = job(workdir, tmp_path, 0.5)
    try:
        for _ in range(3):  # the compiling search, the first part, the second
            assert first.stdout.readline() == "searching\n"
        first.send_signal(blow)
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()
    parts = sorted(path.name for path in (tmp_path / "parts").rglob("*.json"))
    if blow == signal.SIGKILL:
        assert first.returncode == -signal.SIGKILL
        assert parts == ["part-00000.json"]
    else:
        assert first.returncode == RESTART
        assert said.splitlines()[-1].startswith("gr2: preempted with 2 of 3 parts searched")
        assert parts == ["part-00000.json", "part-00001.json"]
    second = job(workdir, tmp_path, 0)
    printed, _ = second.communicate(timeout=120)
    assert printed.count("searching\n") == 1 + 3 - len(parts)
    whole = job(workdir, tmp_path / "whole")
    whole.communicate(timeout=120)
    assert (tmp_path / "run.trec").read_bytes() == (tmp_path / "whole/run.trec").read_bytes()


def two_hosts(workdir, output, *slow):
    """A job of two processes with four devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    shared = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    shared = virtual_devices.environment(4) | shared
    return [job(workdir, output, *slow, **shared, JAX_PROCESS_ID=str(i)) for i in range(2)]


def ended(hosts):
    """(stdout, stderr) of each."""
    try:
        return [host.communicate(timeout=180) for host in hosts]
    finally:
        for host in hosts:
            host.kill()


SHARDED = ["--trie", "sharded", "--parameters", "sharded"]


@pytest.mark.multiprocess
@pytest.mark.parametrize("placed", [[], SHARDED], ids=["whole", "sharded"])
def test_two_processes_write_what_one_does(finished, tmp_path, placed):
    _, workdir = finished
    hosts = two_hosts(workdir, tmp_path / "two", 0, *placed)
    printed = ended(hosts)
    assert [host.returncode for host in hosts] == [0, 0], printed
    assert [out.count("searching\n") for out, _ in printed] == [1 + 2, 1 + 1]  # parts 0 and 2, and part 1
    assert json.loads(printed[0][0].splitlines()[-1])["provenance"]["devices"] == 8
    assert not any(line.startswith("{") for line in printed[1][0].splitlines())
    job(workdir, tmp_path / "one").communicate(timeout=120)
    for name in ("run.trec", "per_query.tsv"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.multiprocess
def test_two_processes_leave_together_and_one_goes_on(finished, tmp_path):
    """SIGTERM to the second alone, while both search their first of two turns."""
    _, workdir = finished
    hosts = two_hosts(workdir, tmp_path, 2)
    try:
        searches = (line for line in hosts[1].stdout if line == "searching\n")  # Gloo prints there, too
        next(searches), next(searches)  # the compiling search, the first part
        hosts[1].send_signal(signal.SIGTERM)
    finally:
        printed = ended(hosts)
    assert [host.returncode for host in hosts] == [RESTART, RESTART], printed
    assert all("of 3 parts searched" in said for _, said in printed)
    assert len(list((tmp_path / "parts").rglob("*.json"))) == 2  # each ended what it searched
    assert not (tmp_path / "run.trec").exists()
    for output in (tmp_path, tmp_path / "whole"):
        job(workdir, output).communicate(timeout=120)
    assert (tmp_path / "run.trec").read_bytes() == (tmp_path / "whole/run.trec").read_bytes()
