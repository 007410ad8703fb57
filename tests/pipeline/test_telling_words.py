"""The telling words of a large collection are found by worker processes: the docids of one process, and no more."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.corpus import Document
from gr2_jax.errors import UserError
from gr2_jax.experiment import DocidConfig, VocabularyConfig
from gr2_jax.pipeline import docids as docids_stage
from gr2_jax.pipeline import large as large_module
from gr2_jax.pipeline import prepare, telling_words, workers
from gr2_jax.pipeline.docids import make_docids
from gr2_jax.pipeline.further_documents import ChangedRun
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes import Auto, Keywords
from gr2_jax.pipeline.workers import in_workers, without_workers

KEYWORDS = Keywords(least=1, most=4, common=0.9)
AUTO = Auto(keywords=KEYWORDS)
EXPERIMENT = small_experiment(
    vocabulary=VocabularyConfig(size=80, extra_ids=100), docids=DocidConfig(schemes=(KEYWORDS,), max_length=10), rows=()
)
WITHOUT_JAX = "__import__('gr2_jax.pipeline.telling_words') and 'jax' in __import__('sys').modules"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Documents of three titles, whose words many have, the last six of which say the same; and no docids."""
    folder = tmp_path_factory.mktemp("words")
    texts = [*TEXTS[:-6], *[TEXTS[-6]] * 6]
    documents = [Document(f"d{i}", text.split()[1], f"how to {text} {TEXTS[-i]}") for i, text in enumerate(texts)]
    write_folder(folder, documents, texts)
    run = Run(over(EXPERIMENT, folder), folder / "run")
    run.paths.create()
    prepare.prepare(run)
    return run


@pytest.fixture
def run_with(prepared, tmp_path):
    """A function: the prepared run with another scheme, in a copy of its folder."""

    def copied(scheme):
        shutil.copytree(prepared.paths.root, tmp_path / "run")
        docids = dataclasses.replace(EXPERIMENT.docids, schemes=(scheme,))
        return Run(dataclasses.replace(prepared.experiment, docids=docids), tmp_path / "run")

    return copied


@pytest.fixture
def large(monkeypatch):
    """Sixty documents: ranges of 16 to count, by fives where one process does all, and blocks of 7 for candidates."""
    monkeypatch.setattr(large_module, "LARGE", 20)
    monkeypatch.setattr(telling_words, "RANGE", 16)
    monkeypatch.setattr(telling_words, "SLICE", 5)
    monkeypatch.setattr(docids_stage, "_SLICE", 7)
    monkeypatch.setenv("GR2_WORKERS", "2")


@pytest.fixture
def started(monkeypatch):
    """The worker processes that were started."""
    found, start = [], workers._Worker

    def noted():
        found.append(start())
        return found[-1]

    monkeypatch.setattr(workers, "_Worker", noted)
    monkeypatch.setenv("GR2_WORKERS", "2")
    return found


def made(run):
    """Every file of the docids, and that nothing else is left of making them."""
    make_docids(run, compared=False)
    assert not list((run.paths.root / "candidates").glob("*"))
    directory = run.paths.docids(run.experiment.docids.schemes[0].name)
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def expected(prepared, tmp_path_factory):
    """What one process makes of a collection that is not large, one document after the other."""
    copy = tmp_path_factory.mktemp("expected") / "run"
    shutil.copytree(prepared.paths.root, copy)
    return made(Run(prepared.experiment, copy))


def test_docids_are_not_all_the_first_candidates(expected):
    """So that the order of the documents decides."""
    figures = json.loads(expected[Path("figures.json")])
    assert figures["needed_later_candidate"] > 0
    assert figures["needed_suffix"] > 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_workers_makes_the_docids_of_one_process(run_with, expected, large, started, monkeypatch, count):
    monkeypatch.setenv("GR2_WORKERS", str(count))
    assert made(run_with(KEYWORDS)) == expected
    assert len(started) == (0 if count == 1 else 2 * count)  # to count words, and to make candidates


def test_workers_count_and_make_candidates_without_jax(large):
    assert list(in_workers(eval, [WITHOUT_JAX])) == [False]


def test_a_small_collection_starts_no_worker(run_with, expected, started):
    assert made(run_with(KEYWORDS)) == expected
    assert not started


def test_one_process_that_is_measured_starts_no_worker(run_with, expected, large, started):
    with without_workers():
        assert made(run_with(KEYWORDS)) == expected
    assert not started


def test_workers_are_asked_for_a_few_blocks_ahead_of_those_that_were_taken(run_with, large, monkeypatch):
    run, asked = run_with(KEYWORDS), []
    blocks = (asked.append(i) or np.arange(i, i + 1) for i in range(60))
    found = KEYWORDS.open(run).blocks(blocks)
    next(found)
    assert len(asked) < 10
    assert len(list(found)) == 59


def test_words_that_the_gate_takes_are_found_by_workers_too(run_with, expected, large, started):
    files = made(run_with(AUTO))
    assert len(started) == 4
    for path, content in expected.items():
        assert path.name == "stage.json" or files[path] == content


def test_nothing_is_left_where_the_quality_alone_was_missing(run_with, large):
    run = run_with(AUTO)
    made(run)
    shutil.rmtree(run.paths.quality("auto"))
    made(Run(run.experiment, run.paths.root))
    assert (run.paths.quality("auto") / "quality.json").is_file()


def test_documents_that_come_later_are_on_no_disk_for_workers(run_with, large, started):
    run = run_with(KEYWORDS)
    later = ChangedRun(run, [Document(f"l{i}", "", text) for i, text in enumerate(TEXTS)])
    opened = KEYWORDS.open_further(later, run.paths.docids("keywords"))
    assert opened.blocks is None
    assert opened.candidates(np.arange(30)).any()
    assert not started


def test_a_damaged_document_is_named_by_the_worker_that_reads_it(run_with, large):
    run = run_with(KEYWORDS)
    opened, path = KEYWORDS.open(run), run.paths.corpus / "documents.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[40] = b"[" + lines[40][1:]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UserError, match=r"documents\.jsonl, line 41"):
        list(opened.blocks(np.arange(60).reshape(6, 10)))
