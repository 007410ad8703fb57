"""A finished run whose files are cut, emptied, flipped or lost: the answer of before, or one sentence."""

import dataclasses
import itertools
import os
import re
import shutil

import jax
import numpy as np
import pytest
from small_collection import TEXTS, over, retrieval, small_experiment, write_folder

from gr2_jax.cli import main
from gr2_jax.corpus.collection import Document
from gr2_jax.evaluation.report_page import figures
from gr2_jax.evaluation.report_page.markup import Html
from gr2_jax.experiment import (
    AugmentationConfig,
    DocidConfig,
    EvaluationConfig,
    ModelConfig,
    OptimiserConfig,
    VocabularyConfig,
)
from gr2_jax.pipeline import quality
from gr2_jax.pipeline.rows import BM25Row, DenseRow, InterpolatedRow, SelfNegatives, System
from gr2_jax.pipeline.schemes import PlainQueries, ResidualCodes, Titles
from gr2_jax.pipeline.stages import run_experiment
from gr2_jax.search.dense import DenseIndex
from gr2_jax.search.interpolated import Interpolated
from gr2_jax.search.retriever import Retriever

_MANY = re.compile(r"/d/[0-9a-f]{32}$|\.npy$")  # of which one file of a folder stands for all


def cut(content):
    return content[: len(content) // 2]


def emptied(content):
    return b""


def flipped(content):
    changed = bytearray(content)
    for place in (len(changed) // 3, len(changed) // 2):
        changed[place : place + 1] = bytes([changed[place] ^ 0x55]) if changed else b""
    return bytes(changed)


def lost(content):
    return None


DAMAGES = (cut, emptied, flipped, lost)


SIMPLE = small_experiment(
    retrieval=retrieval(optimiser=OptimiserConfig(steps=4, warmup_steps=1)),
    rows=(System("A", "title"), BM25Row()),
    evaluation=EvaluationConfig(batch=8, beams=4, weights=(0.0, 1.0)),
)
_WRITER = PlainQueries(
    model=ModelConfig(), optimiser=OptimiserConfig(steps=2), document_length=8, pairs=8, beams=2, max_length=3
)
RICH = dataclasses.replace(
    SIMPLE,
    vocabulary=VocabularyConfig(size=80, extra_ids=40),
    docids=DocidConfig(schemes=(Titles(), ResidualCodes(levels=2, codes=8))),
    augmentation=AugmentationConfig(generated=1, generator=_WRITER),
    rows=(
        System("A", "title"),
        System("B", "title", self_negatives=SelfNegatives("A", steps=2, beams=2, depth=2, negatives=1)),
        DenseRow(),
        BM25Row(generated_queries=True),
        InterpolatedRow("Both", ("A", "BM25"), shares=(0.2, 0.8)),
    ),
)


def finished_run(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    workdir = tmp_path_factory.mktemp("run") / "w"
    run_experiment(over(experiment, folder), workdir)
    return over(experiment, folder), workdir


def leave_out_computing(monkeypatch):
    """What follows the reading of files is left out: the compiled search, and the pictures. Returns a list that gets
    what each search would compute with."""
    searched = []

    def search(searcher, queries, *_, **__):
        searched.append(state(searcher))
        return [[] for _ in queries]

    for searcher in (Retriever, DenseIndex, Interpolated):
        monkeypatch.setattr(searcher, "search", search)
    monkeypatch.setattr(quality, "plot_docids", lambda *_: None)
    monkeypatch.setattr(figures, "draw", lambda *_, **__: Html())
    return searched


def state(searcher):
    """Everything that was read from files and that hits depend on."""
    if isinstance(searcher, Interpolated):
        return [state(part) for part in (searcher.first, searcher.second)], searcher.share
    if isinstance(searcher, DenseIndex):
        return searcher.doc_ids, searcher.vectors.tobytes()
    if isinstance(searcher, Retriever):
        arrays = [*jax.tree.leaves(searcher.params), searcher.columns, searcher.trie.docids()]
        vectors = searcher.docid_vectors.values.tobytes()  # made again where their stage is lost
        texts = searcher.encode(["sort a list"]).tobytes()
        return searcher.doc_ids, searcher.options, vectors, texts, [np.asarray(array).tobytes() for array in arrays]
    return None


def kinds(workdir):
    """A file of each kind, and how often its kind has been seen."""
    seen = {}
    for path in sorted(path.relative_to(workdir) for path in workdir.rglob("*") if path.is_file()):
        seen.setdefault(_MANY.sub("/*", str(path)), path)
    return list(seen.values())


def answer(command, capsys):
    """The exit code, the lines of stderr that are the program's last word, what it printed, and all of stderr."""
    with pytest.raises(SystemExit) as left:
        main(command)
    printed = capsys.readouterr()
    return left.value.code, [line for line in printed.err.splitlines() if line.startswith("gr2: ")], *printed


def measures(printed):
    """The table without the columns of time."""
    return [line.split("|")[:-3] for line in printed.splitlines() if line.startswith("|")]


def check_all(run, tmp_path, capsys, monkeypatch, cases_of):
    """Each kind of file with its cases, a damage and a command that comes after it; returns how many were refused.

    What is not refused is as it was without the damage: a search computes with the same numbers, and a run that has
    nothing to compute again prints the same table."""
    experiment, finished = run
    searched = leave_out_computing(monkeypatch)
    monkeypatch.setattr("gr2_jax.experiment.loading.load_experiment", lambda *_: experiment)
    work, refused = tmp_path / "w", 0
    commands = {row.name: ["search", "sort", "--row", row.name] for row in experiment.rows}
    commands["run"] = ["run", "config.py"]
    sound = {}
    for name, command in commands.items():
        shutil.copytree(finished, work)
        code, _, printed, _ = answer([*command, "--workdir", str(work)], capsys)
        assert code == 0
        sound[name] = searched.pop() if name != "run" and searched else printed
        assert not searched
        shutil.rmtree(work)
    for number, file in enumerate(kinds(finished)):
        for damage, command in cases_of(number):
            content = damage((finished / file).read_bytes())
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(finished, work, copy_function=os.link)
            (work / file).unlink()
            if content is not None:
                (work / file).write_bytes(content)
            searched.clear()
            code, said, printed, notes = answer([*commands[command], "--workdir", str(work)], capsys)
            what = f"{file}, {damage.__name__}, {command}: {code} {said}"
            assert code in (0, 2), what
            assert len(said) == (code == 2), what
            assert code == 0 or str(work) in said[0], what
            refused += code == 2
            if code == 0 and command != "run" and "is not chosen yet" not in notes:
                assert (searched[-1] if searched else printed) == sound[command], what
            if code == 0 and command == "run" and not searched:
                assert measures(printed) == measures(sound["run"]), what
    return refused


def test_every_kind_of_file_with_one_damage_and_one_command(tmp_path_factory, tmp_path, capsys, monkeypatch):
    cases = list(itertools.product(DAMAGES, ("A", "run")))

    def one(number):
        return [cases[3 * number % len(cases)]]

    run = finished_run(SIMPLE, tmp_path_factory)
    assert check_all(run, tmp_path, capsys, monkeypatch, one) > 10


@pytest.mark.slow
def test_every_kind_of_file_with_every_damage_and_command(tmp_path_factory, tmp_path, capsys, monkeypatch):
    cases = list(itertools.product(DAMAGES, ("B", "Dense", "Both", "run")))
    run = finished_run(RICH, tmp_path_factory)
    assert check_all(run, tmp_path, capsys, monkeypatch, lambda _: cases) > 80
