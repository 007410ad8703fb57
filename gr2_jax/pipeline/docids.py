"""Stage 2: for each scheme, candidates for every document, their unique assignment, the trie, the table, quality."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.docids import Assignment, DocidTrie, assign_unique, make_shards, read_shards
from gr2_jax.models import EOS_ID
from gr2_jax.pipeline.prepare import load_tokenizer
from gr2_jax.pipeline.quality import Quality
from gr2_jax.pipeline.schemes import SCHEMES, SUFFIX_DIGITS, Making, Scheme
from gr2_jax.progress import progress, say
from gr2_jax.workdir import Workdir, digest, run_stage, write_json

_SHARD = 4096  # documents whose candidates are lost at most when a host is killed
_SLICE = 65536  # documents whose candidates are in memory at a time


def make_docids(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """Makes docids/<scheme>/ for every scheme of the config; returns each one's fingerprint."""
    prints, quality = {}, Quality(workdir)
    for scheme in experiment.docids.schemes:
        settings = [experiment.docids.max_length, experiment.seed, SCHEMES[scheme].settings(experiment)]
        prints[scheme] = digest([upstream, scheme, settings])

        def build(out: Path, scheme: str = scheme) -> None:
            _build(Making(scheme, experiment, workdir, prints[scheme], out), quality)

        run_stage(workdir.docids(scheme), prints[scheme], build)
        shutil.rmtree(workdir.candidates(f"{scheme}-{prints[scheme]}"), ignore_errors=True)
    return prints


def load_docids(experiment: Experiment, workdir: Workdir, scheme: str) -> tuple[DocidTrie, Int[np.ndarray, "N T"]]:
    """The trie, and the table [N, T] of docids with EOS, 0-padded."""
    vocabulary = load_tokenizer(experiment, workdir).fingerprint
    trie = DocidTrie.load(workdir.docids(scheme) / "trie", vocabulary=vocabulary)
    table = np.pad(trie.docids().astype(np.int32), [(0, 0), (0, 1)])
    table[np.arange(len(table)), np.count_nonzero(table, axis=1)] = EOS_ID
    return trie, table


def _build(making: Making, quality: Quality) -> None:
    say(f"docids: {making.name}")
    scheme = SCHEMES[making.name](making)
    collection, _ = scheme.corpus
    assignment = assign_unique(
        _candidates(scheme, np.arange(len(collection.documents))),
        suffix_tokens=list(scheme.tokenizer.sentinels)[-SUFFIX_DIGITS:],
        max_length=making.experiment.docids.max_length,
        resample=partial(_candidates, scheme),
        resamples=scheme.resamples,
    )
    DocidTrie.from_sequences(assignment.docids, vocabulary=scheme.tokenizer.fingerprint).save(making.out / "trie")
    _write_table(scheme, assignment)
    figures = assignment.figures()
    write_json(making.out / "figures.json", figures)
    write_json(making.out / "quality.json", quality(scheme, assignment))
    say(f"  {describe(figures)}")


def _candidates(scheme: Scheme, rows: Int[np.ndarray, "n"], sample: int = 0) -> Iterator[Int[np.ndarray, "s C T"]]:
    """Lists of the documents `rows`, in order; costly ones by way of files, which all hosts make and each one reads."""
    if not len(rows):
        return
    if not scheme.costly:
        for start in range(0, len(rows), _SLICE):
            yield scheme.candidates(rows[start : start + _SLICE], sample)
        return
    making = scheme.making
    directory = making.workdir.candidates(f"{making.name}-{making.fingerprint}") / f"sample-{sample}"
    with progress(len(rows), "pseudo-queries" if sample == 0 else f"pseudo-queries, sample {sample + 1}") as bar:
        make_shards(
            directory,
            rows,
            partial(scheme.candidates, sample=sample),
            shard_size=_SHARD,
            fingerprint=making.fingerprint,
            host=jax.process_index(),
            hosts=jax.process_count(),
            advance=bar.advance,
        )
    if jax.process_count() > 1:
        from jax.experimental.multihost_utils import sync_global_devices

        sync_global_devices(str(directory))
    yield from read_shards(directory)


def describe(figures: dict[str, float]) -> str:
    return (
        f"{figures['unique_share']:.0%} unique ({figures['unique_share_before']:.1%} before assignment), "
        f"{figures['needed_later_candidate']} took a later candidate, {figures['needed_another_sample']} one of "
        f"another sample, {figures['needed_suffix']} a suffix; length mean {figures['length_mean']:.1f}, "
        f"95th percentile {figures['length_p95']:.0f} tokens"
    )


def _write_table(scheme: Scheme, assignment: Assignment) -> None:
    """docids.tsv: document id and docid, as text."""
    documents, decode = scheme.corpus[0].documents, scheme.tokenizer.decode
    with (scheme.making.out / "docids.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for document, docid in zip(documents, assignment.docids, strict=True):
            file.write(f"{document.doc_id}\t{decode(docid[docid != 0])}\n")
