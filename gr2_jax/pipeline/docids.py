"""Stage 2: for each scheme, candidates for every document, their unique assignment, the trie and the table."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.config import Experiment
from gr2_jax.docids import Assignment, DocidTrie, assign_unique, make_shards, read_shards
from gr2_jax.models import EOS_ID
from gr2_jax.pipeline.prepare import load_tokenizer
from gr2_jax.pipeline.quality import Quality
from gr2_jax.pipeline.schemes import SCHEMES, SUFFIX_DIGITS, Scheme, Sources
from gr2_jax.progress import progress, say
from gr2_jax.workdir import STAGE_FILE, Workdir, is_done, read_json, run_stage, write_json

_SHARD = 4096  # documents whose candidates are lost at most when the program is killed
_SLICE = 65536  # documents whose candidates are in memory at a time


def make_docids(experiment: Experiment, workdir: Workdir, upstream: str) -> dict[str, str]:
    """Makes docids/<scheme>/ and quality/<scheme>/ for every scheme of the config; returns the docids' fingerprints."""
    sources = Sources(experiment, workdir)
    schemes = [SCHEMES[name](name, sources, upstream) for name in experiment.docids.schemes]
    for scheme in schemes:
        if not is_done(workdir.docids(scheme.name), scheme.fingerprint):
            scheme.check_corpus()
    quality = Quality(sources)
    for scheme in schemes:
        places = workdir.docids(scheme.name), workdir.quality(scheme.name)
        if not all(is_done(place, scheme.fingerprint) for place in places):
            scheme.train()
        run_stage(workdir.docids(scheme.name), scheme.fingerprint, partial(_build, scheme))
        shutil.rmtree(workdir.candidates(scheme.name), ignore_errors=True)
        run_stage(workdir.quality(scheme.name), scheme.fingerprint, partial(quality.write, scheme))
    return {scheme.name: scheme.fingerprint for scheme in schemes}


def load_docids(experiment: Experiment, workdir: Workdir, scheme: str) -> tuple[DocidTrie, Int[np.ndarray, "N T"]]:
    """The trie, and the table [N, T] of docids with EOS, 0-padded."""
    vocabulary = load_tokenizer(experiment, workdir).fingerprint
    trie = DocidTrie.load(workdir.docids(scheme) / "trie", vocabulary=vocabulary)
    table = np.pad(trie.docids().astype(np.int32), [(0, 0), (0, 1)])
    table[np.arange(len(table)), np.count_nonzero(table, axis=1)] = EOS_ID
    return trie, table


def docids_fingerprint(workdir: Workdir, scheme: str) -> str:
    """Of the docids that lie in docids/<scheme>/."""
    return read_json(workdir.docids(scheme) / STAGE_FILE)["fingerprint"]


def _build(scheme: Scheme, out: Path) -> None:
    say(f"docids: {scheme.name}")
    tokenizer = scheme.sources.tokenizer
    assignment = assign_unique(
        candidates_of(scheme, np.arange(len(scheme.sources.corpus[0].documents))),
        suffix_tokens=list(tokenizer.sentinels)[-SUFFIX_DIGITS:],
        max_length=scheme.experiment.docids.max_length,
        resample=partial(candidates_of, scheme),
        resamples=scheme.resamples,
    )
    DocidTrie.from_sequences(assignment.docids, vocabulary=tokenizer.fingerprint).save(out / "trie")
    _write_table(scheme, assignment, out)
    scheme.leave(out)
    figures = assignment.figures()
    write_json(out / "figures.json", figures)
    say(f"  {describe(figures)}")


def candidates_of(scheme: Scheme, rows: Int[np.ndarray, "n"], sample: int = 0) -> Iterator[Int[np.ndarray, "s C T"]]:
    """Lists of the documents `rows`, in order; costly ones by way of files, which outlive the program."""
    if not len(rows):
        return
    if not scheme.costly:
        for start in range(0, len(rows), _SLICE):
            yield scheme.candidates(rows[start : start + _SLICE], sample)
        return
    fingerprint = scheme.candidates_fingerprint
    directory = scheme.sources.workdir.candidates(scheme.name) / fingerprint / f"sample-{sample}"
    with progress(len(rows), "pseudo-queries" if sample == 0 else f"pseudo-queries, sample {sample + 1}") as bar:
        make_shards(
            directory,
            rows,
            partial(scheme.candidates, sample=sample),
            shard_size=_SHARD,
            fingerprint=fingerprint,
            advance=bar.advance,
        )
    yield from read_shards(directory)


def describe(figures: dict[str, float]) -> str:
    return (
        f"{figures['unique_share']:.0%} unique ({figures['unique_share_before']:.1%} before assignment), "
        f"{figures['needed_later_candidate']} took a later candidate, {figures['needed_another_sample']} one of "
        f"another sample, {figures['needed_suffix']} a suffix; length mean {figures['length_mean']:.1f}, "
        f"95th percentile {figures['length_p95']:.0f} tokens"
    )


def _write_table(scheme: Scheme, assignment: Assignment, out: Path) -> None:
    """docids.tsv: document id and docid, as text."""
    documents, decode = scheme.sources.corpus[0].documents, scheme.sources.tokenizer.decode
    with (out / "docids.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for document, docid in zip(documents, assignment.docids, strict=True):
            file.write(f"{document.doc_id}\t{decode(docid[docid != 0])}\n")
