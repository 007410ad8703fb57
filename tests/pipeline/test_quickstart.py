"""The tiny profile, whole: what a newcomer types, what it leaves on disk, and that killing it changes nothing."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from gr2_jax import open_retriever
from gr2_jax.corpus import read_qrels, read_run

AS_USERS_DO = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}  # see tests/conftest.py
SYSTEMS = ("GR2S", "MLE", "GR2S-fusion")
ROWS = (*SYSTEMS, "BM25", "BM25+queries", "LSA")


def command(workdir):
    return [sys.executable, "-m", "gr2_jax", "quickstart", "--profile", "tiny", "--workdir", str(workdir)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: its workdir and what it printed."""
    workdir = tmp_path_factory.mktemp("tiny") / "run"
    done = subprocess.run(command(workdir), env=AS_USERS_DO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


def test_prints_a_row_per_system_and_baseline_and_what_to_type_next(finished):
    workdir, printed = finished
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in table[2:]] == list(ROWS)
    assert f"--workdir {workdir}" in printed


def test_summary_holds_every_measure_and_where_it_comes_from(finished):
    workdir, _ = finished
    summary = json.loads((workdir / "metrics/summary.json").read_text())
    assert set(summary) == {*ROWS, "provenance"}
    for name in ROWS:
        assert all(0 <= summary[name][m] <= 1 for m in ("nDCG@5", "nDCG@20", "P@20", "ERR@20"))
    assert {"jax", "seqio", "numpy"} <= set(summary["provenance"]["versions"])


def test_learns_something(finished):
    """Sixty steps are no quality figure, but a model that ranked at random would score about .005."""
    summary = json.loads((finished[0] / "metrics/summary.json").read_text())
    assert summary["GR2S"]["nDCG@20"] > 0.1
    assert summary["MLE"]["nDCG@20"] > 0.1


@pytest.mark.parametrize("scheme", ["title", "fusion"])
def test_every_document_has_a_docid_of_its_own(finished, scheme):
    workdir, _ = finished
    documents = [json.loads(line)["doc_id"] for line in (workdir / "corpus/documents.jsonl").open()]
    table = [line.rstrip("\n").split("\t") for line in (workdir / f"docids/{scheme}/docids.tsv").open()]
    assert [doc_id for doc_id, _ in table] == documents
    assert len({docid for _, docid in table}) == len(documents)


def test_runs_rank_twenty_documents_for_every_test_query_and_no_other(finished):
    workdir, _ = finished
    test_queries = json.loads((workdir / "corpus/split.json").read_text())["test"]
    documents = {json.loads(line)["doc_id"] for line in (workdir / "corpus/documents.jsonl").open()}
    for name in SYSTEMS:
        run = read_run(workdir / f"runs/{name}/test.trec")
        assert sorted(run) == sorted(test_queries)
        for hits in run.values():
            assert len({doc for doc, _ in hits}) == 20
            assert {doc for doc, _ in hits} <= documents


def test_training_never_sees_a_judgement_of_a_held_out_query(finished):
    workdir, _ = finished
    split = json.loads((workdir / "corpus/split.json").read_text())
    assert not set(split["train"]) & (set(split["test"]) | set(split["validation"]))
    assert set(split["train"]) | set(split["test"]) | set(split["validation"]) == set(
        read_qrels(workdir / "corpus/qrels.txt")
    )
    examples = (workdir / "examples/queries.tfrecord").read_bytes()
    texts = dict(line.rstrip("\n").split("\t") for line in (workdir / "corpus/queries.tsv").open())
    assert all(texts[query].encode() in examples for query in split["train"][:5])
    assert not any(texts[query].encode() in examples for query in split["test"])


def test_search_finds_what_it_was_trained_on(finished):
    workdir, _ = finished
    found = open_retriever(workdir).search(["sort an array", "inverse of a matrix"], k=20)
    assert [len(hits) for hits in found] == [20, 20]
    assert any("sort" in hit.doc_id for hit in found[0])
    assert all(a.score >= b.score for hits in found for a, b in itertools.pairwise(hits))


def test_asked_again_it_does_nothing_and_says_the_same(finished):
    workdir, printed = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.glob("checkpoints/*/stage.json")}
    again = subprocess.run(command(workdir), env=AS_USERS_DO, capture_output=True, text=True, check=True)
    assert again.stdout == printed
    assert "training" not in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in workdir.glob("checkpoints/*/stage.json")}


def test_killed_twice_and_started_again_it_writes_the_same_bytes(finished, tmp_path):
    """kill -9 while the docids are made and in the middle of training; the run files equal the undisturbed run's, which
    has more rows."""
    workdir, rows = tmp_path / "run", ["GR2S", "BM25"]
    some = [*command(workdir), "--rows", ",".join(rows)]
    for moment in ("examples/stage.json", "checkpoints/GR2S-*/[0-9]*"):
        process = subprocess.Popen(
            [*some, "--loop.checkpoint_seconds", "0"],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=AS_USERS_DO,
        )
        while not list(workdir.glob(moment)) and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(some, env=AS_USERS_DO, capture_output=True, check=True)
    for name in rows:
        path = f"runs/{name}/test.trec"
        assert (workdir / path).read_bytes() == (finished[0] / path).read_bytes(), name
    ours, theirs = (json.loads((root / "metrics/summary.json").read_text()) for root in (workdir, finished[0]))
    for measure in ("nDCG@5", "nDCG@20", "P@20", "ERR@20"):
        assert [ours[name][measure] for name in rows] == [theirs[name][measure] for name in rows]
