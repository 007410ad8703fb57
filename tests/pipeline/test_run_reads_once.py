"""A run reads each thing that its stages left at most once, whatever is asked of it."""

from collections import Counter

import pytest
from small_collection import TEXTS, over, small_experiment, write_folder

from gr2_jax.cli import main
from gr2_jax.corpus.collection import Document
from gr2_jax.experiment import DocidConfig, VocabularyConfig
from gr2_jax.pipeline import run as module
from gr2_jax.pipeline.rows import BASELINES, System, ViewsRow
from gr2_jax.pipeline.schemes import ResidualCodes, Titles
from gr2_jax.pipeline.stages import run_experiment

ONCE = {"Tokenizer", "read_collection", "trie title"}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    two_rows = small_experiment(
        vocabulary=VocabularyConfig(size=80, extra_ids=40),
        docids=DocidConfig(schemes=(Titles(), ResidualCodes(levels=2, codes=8))),
        rows=(System("A", "title"), System("B", "rq"), ViewsRow("Both", ("A", "B")), *BASELINES),
    )
    return over(two_rows, folder)


@pytest.fixture
def opened(monkeypatch):
    """How often each thing was opened; tries by the name of their scheme."""
    counts = Counter()

    def counted(name, original):
        def call(path, *arguments, **options):
            counts[name if name != "trie" else f"trie {path.parent.name}"] += 1
            return original(path, *arguments, **options)

        return call

    for name in ("Tokenizer", "read_collection"):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    monkeypatch.setattr(module.DocidTrie, "load", counted("trie", module.DocidTrie.load))
    return counts


def test_building_training_and_searching_all_rows(experiment, opened, tmp_path):
    run_experiment(experiment, tmp_path)
    quality = {"trie title": 1, "trie rq": 1}  # which measures the docids before they are trained on
    assert opened - Counter(quality) == Counter({"Tokenizer": 1, "read_collection": 1, "trie title": 1, "trie rq": 1})


def test_a_search_of_one_row_opens_what_it_needs_once(experiment, opened, tmp_path, capsys):
    run_experiment(experiment, tmp_path)
    opened.clear()
    with pytest.raises(SystemExit, match="0"):
        main(["search", "how", "to", "sort", "--workdir", str(tmp_path)])
    assert set(opened) == ONCE
    assert set(opened.values()) == {1}
    assert "again" in capsys.readouterr().out  # the documents' text is shown
