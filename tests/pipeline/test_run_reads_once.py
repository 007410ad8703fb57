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


@pytest.fixture(scope="module")
def opened():
    """How often each thing was opened since it was last cleared; tries by the name of their scheme."""
    counts = Counter()

    def counted(name, original):
        def call(path, *arguments, **options):
            counts[f"{name} {path.parent.name}" if name == "trie" else name] += 1
            return original(path, *arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("Tokenizer", "read_stored"):
            patch.setattr(module, name, counted(name, getattr(module, name)))
        patch.setattr(module.DocidTrie, "load", counted("trie", module.DocidTrie.load))
        yield counts


@pytest.fixture(scope="module")
def built(opened, tmp_path_factory):
    """A finished run of two systems, their views and the baselines, and what it opened."""
    folder = tmp_path_factory.mktemp("corpus")
    write_folder(folder, [Document(f"d{i}", text, f"{text} again") for i, text in enumerate(TEXTS)], TEXTS)
    experiment = small_experiment(
        vocabulary=VocabularyConfig(size=80, extra_ids=40),
        docids=DocidConfig(schemes=(Titles(), ResidualCodes(levels=2, codes=8))),
        rows=(System("A", "title"), System("B", "rq"), ViewsRow("Both", ("A", "B")), *BASELINES),
    )
    workdir = tmp_path_factory.mktemp("run")
    run_experiment(over(experiment, folder), workdir)
    return workdir, Counter(opened)


def test_building_training_and_searching_all_rows(built):
    assert built[1] == Counter({"Tokenizer": 1, "read_stored": 1, "trie title": 1, "trie rq": 1})


def test_a_search_of_one_row(built, opened, capsys):
    opened.clear()
    with pytest.raises(SystemExit, match="0"):
        main(["search", "how", "to", "sort", "--workdir", str(built[0])])
    assert opened == Counter({"Tokenizer": 1, "read_stored": 1, "trie title": 1})
    assert "again" in capsys.readouterr().out  # the documents' text is shown
