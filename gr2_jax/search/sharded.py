"""Search for many queries in parts that hosts share: a stopped search resumes, and the result is always the same."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from gr2_jax.buckets import pull, push, shown
from gr2_jax.corpus.runs import Run
from gr2_jax.errors import Preempted
from gr2_jax.files import read_json, reading, write_text
from gr2_jax.hosts import Preemption, wait_for_all, wait_until_seen
from gr2_jax.progress import progress
from gr2_jax.search.searcher import Hit, Searcher

_BATCHES_PER_PART = 8  # of one device: a host with eight devices searches a part in one call


class Found(NamedTuple):
    run: Run
    proven_share: float
    """Share of the queries whose lists are proven from first to last."""
    ms_per_query: float
    """Search time without compilation, summed over the processes that shared it."""


def search_sharded(searcher: Searcher, queries: dict[str, str], k: int, directory: Path) -> Found:
    """The `k` best documents of each query (id -> text), queries in their order.

    `directory` keeps a file per part, and belongs to one model, one list of queries and one set of options: name it by
    their fingerprint. Parts found there are not searched again, whoever made them. Of P JAX processes on one file
    system, process p searches parts p, p + P, ...; all wait for each other and return the same result.

    Raises:
        Preempted: SIGTERM arrived; the finished parts are in `directory`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    pull(directory)
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
                # compiles, usually the wider beams too
                searcher.search(texts[: searcher.options.batch], k, whole_batches=True)
                warm = True
            started = time.perf_counter()
            hits = searcher.search(texts, k, whole_batches=True)
            _write(files[i], parts[i], hits, time.perf_counter() - started)
            push(files[i])
            bar.advance(len(texts))
        _leave_if_asked(preemption, files)  # the caller would not notice a SIGTERM during the last part
    wait_for_all(f"searched {shown(directory)}")
    pull(directory)  # the other hosts' parts
    found = _read(files, len(ids))
    wait_for_all(f"read {shown(directory)}")  # after this the caller may delete it
    return found


def _leave_if_asked(preemption: Preemption, files: list[Path]) -> None:
    if preemption.requested():
        done = sum(file.exists() for file in files)
        raise Preempted(f"preempted with {done} of {len(files)} parts searched; run the same command to resume")


def _write(file: Path, ids: Sequence[str], hits: list[list[Hit]], seconds: float) -> None:
    lists = {
        query: [[hit.doc_id, hit.score, hit.proven] for hit in found] for query, found in zip(ids, hits, strict=True)
    }
    write_text(file, [json.dumps({"seconds": seconds, "lists": lists})])


def _read(files: list[Path], queries: int) -> Found:
    run, seconds, exact = {}, 0.0, 0
    for file in files:
        wait_until_seen(file)
        with reading(file, f"; to search it again, delete {file}"):
            part = read_json(file)
            seconds += part["seconds"]
            for query, hits in part["lists"].items():
                run[query] = [(doc_id, float(score)) for doc_id, score, _ in hits]
                exact += bool(hits) and all(proven for _, _, proven in hits)
    return Found(run, exact / max(queries, 1), 1000 * seconds / max(queries, 1))
