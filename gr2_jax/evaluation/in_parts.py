"""Searching for many queries, part by part: shared by hosts, stopped and gone on with, the same result every time."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from gr2_jax.distributed import wait_until_seen
from gr2_jax.errors import Preempted
from gr2_jax.evaluation.searcher import Hit, Searcher
from gr2_jax.evaluation.trec import Run
from gr2_jax.preemption import Preemption
from gr2_jax.progress import progress

_BATCHES_PER_PART = 8  # of one device: a host of eight searches a part in one call


class Found(NamedTuple):
    run: Run
    exact_share: float
    """Of the queries: lists that are proven from first to last."""
    ms_per_query: float
    """Of searching, compilation not included; summed over the processes that shared it."""


def search_in_parts(searcher: Searcher, queries: dict[str, str], k: int, directory: Path) -> Found:
    """The `k` best documents of each query (id -> text), queries in their order.

    `directory` keeps a file per part, and belongs to one model, one list of queries and one set of options: name it by
    their fingerprint. Parts that are there are not searched again, whoever made them. Of several JAX processes on one
    file system each searches every so many-th part; all wait for the others and return the same.

    Raises:
        Preempted: SIGTERM came, and what was done is in `directory`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ids, size = list(queries), searcher.options.batch * _BATCHES_PER_PART
    parts = [ids[start : start + size] for start in range(0, len(ids), size)]
    files = [directory / f"part-{i:05}.json" for i in range(len(parts))]
    hosts, host = jax.process_count(), jax.process_index()
    there = sum(len(part) for part, file in zip(parts, files, strict=True) if file.exists())
    warm = False
    with Preemption() as preemption, progress(len(ids), "searching", initial=there) as bar:
        for turn in range(-(-len(parts) // hosts)):
            _leave_if_asked(preemption, files)
            i = turn * hosts + host
            if i >= len(parts) or files[i].exists():
                continue
            texts = [queries[query] for query in parts[i]]
            if not warm:
                searcher.search(
                    texts[: searcher.options.batch], k, whole_batches=True
                )  # compiles, and mostly wider beams too
                warm = True
            started = time.perf_counter()
            hits = searcher.search(texts, k, whole_batches=True)
            _write(files[i], parts[i], hits, time.perf_counter() - started)
            bar.advance(len(texts))
        _leave_if_asked(preemption, files)  # what was asked during the last part, the caller would not hear of
    _wait_for_all(f"searched {directory}")
    found = _read(files, len(ids))
    _wait_for_all(f"read {directory}")  # the caller may remove it
    return found


def _leave_if_asked(preemption: Preemption, files: list[Path]) -> None:
    if preemption.requested():
        done = sum(file.exists() for file in files)
        raise Preempted(f"preempted with {done} of {len(files)} parts searched; the same command goes on")


def _wait_for_all(reason: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(reason)


def _write(file: Path, ids: Sequence[str], hits: list[list[Hit]], seconds: float) -> None:
    lists = {
        query: [[hit.doc_id, hit.score, hit.exact] for hit in found] for query, found in zip(ids, hits, strict=True)
    }
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps({"seconds": seconds, "lists": lists}))
    os.replace(partial, file)


def _read(files: list[Path], queries: int) -> Found:
    run, seconds, exact = {}, 0.0, 0
    for file in files:
        wait_until_seen(file)
        part = json.loads(file.read_text())
        seconds += part["seconds"]
        for query, hits in part["lists"].items():
            run[query] = [(doc_id, score) for doc_id, score, _ in hits]
            exact += bool(hits) and all(proven for _, _, proven in hits)
    return Found(run, exact / max(queries, 1), 1000 * seconds / max(queries, 1))
