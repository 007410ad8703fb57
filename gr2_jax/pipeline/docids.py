"""Stage 2: for each scheme, candidates for every document, their unique assignment, the trie and the table."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gr2_jax.docids import Assignment, DocidTrie, assign_unique, make_shards, read_shards
from gr2_jax.experiment import Scheme
from gr2_jax.experiment.scheme import OpenScheme
from gr2_jax.files import write_json
from gr2_jax.pipeline.quality import Quality
from gr2_jax.pipeline.run import Run
from gr2_jax.pipeline.schemes.base import SUFFIX_DIGITS, scheme_fingerprint
from gr2_jax.pipeline.stage import Stage
from gr2_jax.pipeline.watching import part
from gr2_jax.progress import progress, say

_SHARD = 4096  # documents whose candidates are lost at most when the program is killed
_SLICE = 4096  # documents whose candidates are in memory at a time


def make_docids(run: Run, *, compared: bool | None = None) -> None:
    """Makes docids/<scheme>/ and quality/<scheme>/ for every scheme of the experiment; see `Quality` on `compared`."""
    stages = []
    for scheme in run.experiment.docids.schemes:
        fingerprint = scheme_fingerprint(run, scheme)
        docids, judged = (Stage(place(scheme.name), fingerprint) for place in (run.paths.docids, run.paths.quality))
        judged.take_over()
        if not docids.take_over():
            scheme.check_corpus(run)
        stages.append((scheme, docids, judged))
    quality = Quality(run, compared)
    for scheme, docids, judged in stages:
        if docids.done and judged.done:
            continue
        opened = scheme.open(run)
        docids.build(partial(_build, run, scheme, opened))
        judged.build(partial(quality.write, scheme, opened))
        shutil.rmtree(run.paths.candidates(scheme.name), ignore_errors=True)


def _build(run: Run, scheme: Scheme, opened: OpenScheme, out: Path) -> None:
    say(f"docids: {scheme.name}")
    place = run.paths.docids(scheme.name)
    with part(place / "assignment"):
        assignment = assign_unique(
            candidates_of(run, scheme, opened, np.arange(len(run.doc_ids))),
            suffix_tokens=list(run.tokenizer.sentinels)[-SUFFIX_DIGITS:],
            max_length=run.experiment.docids.max_length,
            resample=partial(candidates_of, run, scheme, opened),
            resamples=opened.resamples,
        )
    with part(place / "trie"):
        DocidTrie.from_sequences(assignment.docids, vocabulary=run.tokenizer.fingerprint).save(out / "trie")
    with part(place / "docids.tsv"):
        _write_table(run, assignment, out)
    opened.write_extras(out)
    figures = assignment.figures()
    write_json(out / "figures.json", figures)
    say(f"  {describe(figures)}")


def candidates_of(
    run: Run, scheme: Scheme, opened: OpenScheme, rows: Int[np.ndarray, "n"], sample: int = 0
) -> Iterator[Int[np.ndarray, "s C T"]]:
    """Lists of the documents `rows`, in order; costly ones by way of files, which outlive the program."""
    if not len(rows):
        return
    if not scheme.costly:
        blocks = (rows[start : start + _SLICE] for start in range(0, len(rows), _SLICE))
        yield from opened.blocks(blocks) if opened.blocks else map(partial(opened.candidates, sample=sample), blocks)
        return
    directory = run.paths.candidates(scheme.name) / opened.fingerprint / f"sample-{sample}"
    with progress(len(rows), "pseudo-queries" if sample == 0 else f"pseudo-queries, sample {sample + 1}") as bar:
        make_shards(
            directory,
            rows,
            partial(opened.candidates, sample=sample),
            shard_size=_SHARD,
            fingerprint=opened.fingerprint,
            advance=bar.advance,
        )
    yield from read_shards(directory)


def describe(figures: dict[str, float]) -> str:
    """One line about an assignment."""
    return (
        f"{figures['unique_share']:.0%} unique ({figures['unique_share_before']:.1%} before assignment), "
        f"{figures['needed_later_candidate']} took a later candidate, {figures['needed_another_sample']} one of "
        f"another sample, {figures['needed_suffix']} a suffix; length mean {figures['length_mean']:.1f}, "
        f"95th percentile {figures['length_p95']:.0f} tokens"
    )


def _write_table(run: Run, assignment: Assignment, out: Path) -> None:
    """docids.tsv: document id and docid, as text."""
    with (out / "docids.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for doc_id, docid in zip(run.doc_ids, assignment.docids, strict=True):
            file.write(f"{doc_id}\t{run.tokenizer.decode(docid[docid != 0])}\n")
