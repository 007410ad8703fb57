"""Stage 2: for each scheme, candidates for every document, the unique assignment, the trie and its figures."""

from pathlib import Path

import numpy as np

from gr2_jax.config import Experiment
from gr2_jax.data.vocabulary import pad_rows
from gr2_jax.docids import Assignment, DocidTrie, assign_unique
from gr2_jax.models import EOS_ID
from gr2_jax.pipeline.prepare import load_tokenizer, read_corpus
from gr2_jax.pipeline.schemes import SCHEMES, SUFFIX_DIGITS, Making
from gr2_jax.progress import say
from gr2_jax.workdir import Workdir, digest, run_stage, write_json


def make_docids(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """Makes docids/<scheme>/ for every scheme of the config; returns each one's fingerprint."""
    prints = {}
    for scheme in experiment.docids.schemes:
        settings = [experiment.docids.max_length, experiment.seed, SCHEMES[scheme].settings(experiment)]
        prints[scheme] = digest([upstream, scheme, settings])

        def build(out: Path, scheme: str = scheme) -> None:
            _build(scheme, Making(experiment, workdir, prints[scheme], out))

        run_stage(workdir.docids(scheme), prints[scheme], build)
    return prints


def load_docids(workdir: Workdir, scheme: str) -> tuple[DocidTrie, np.ndarray]:
    """The trie, and the table [N, T] of docids with EOS, 0-padded."""
    trie = DocidTrie.load(workdir.docids(scheme) / "trie.npz")
    return trie, pad_rows(trie.sequences(), trie.max_depth, eos=EOS_ID)


def _build(scheme: str, making: Making) -> None:
    say(f"docids: {scheme}")
    sentinels = load_tokenizer(making.experiment, making.workdir).sentinels
    assignment = assign_unique(
        SCHEMES[scheme].propose(making),
        suffix_tokens=list(sentinels)[-SUFFIX_DIGITS:],
        max_length=making.experiment.docids.max_length,
    )
    DocidTrie.from_sequences(assignment.docids).save(making.out / "trie.npz")
    _write_table(making, assignment)
    write_json(making.out / "figures.json", assignment.figures())
    say(f"  {describe(assignment.figures())}")


def describe(figures: dict[str, float]) -> str:
    return (
        f"{figures['unique_share']:.0%} unique ({figures['unique_share_before']:.1%} before assignment), "
        f"{figures['needed_later_candidate']} took a later candidate, {figures['needed_suffix']} a suffix; "
        f"length mean {figures['length_mean']:.1f}, "
        f"95th percentile {figures['length_p95']:.0f} tokens"
    )


def _write_table(making: Making, assignment: Assignment) -> None:
    collection, _ = read_corpus(making.workdir)
    tokenizer = load_tokenizer(making.experiment, making.workdir)
    pairs = zip(collection.documents, assignment.docids, strict=True)
    lines = (f"{document.doc_id}\t{tokenizer.decode(docid)}\n" for document, docid in pairs)
    (making.out / "docids.tsv").write_text("".join(lines), encoding="utf-8")
