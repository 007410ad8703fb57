"""The input pipeline at scale: examples per second and peak memory of each stage, beside what training consumes.

python tests/benchmarks/input_pipeline.py [--documents 100000 1000000] [--seed 0] [--folder DIR] [--cached 20000]

Synthetic documents: a title and three paragraphs of three sentences, 66 words in the mean, drawn from 20,000 made-up
words (Zipf, exponent 1.1) by a generator, so that no stage finds them in memory. Every document also has a graded query
with 2 to 8 judged documents. The vocabulary has 8,000 pieces.

Each stage runs in a process of its own; peak is its largest resident set, including TensorFlow (about 0.8 GB) where the
stage needs it. Stages: subset (90% of the documents, streamed), augment (pseudo-queries of each document), write
(TFRecord), tokenise (seqio task into files with random access), cache (Beam, in one process, for `--cached` documents)
and read it again, take (random rows, 128 at a time), batch (128 queries, 128 documents, with the grades drawn).

What training consumes: a step of T5-base on one H200 takes 6 FLOP per parameter and token (forward and backward),
    F = 6 (P_enc Tq + (P_dec + V D) K Ti)   per query,   examples/s = peak x MFU / F,
with P_enc = 85M, P_dec = 113M, V D = 24.7M, peak 989 TFLOP/s (bfloat16, dense), MFU 40%. The quadratic part of
attention is left out, so the formula overstates how many examples training consumes.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

WORDS, SENTENCE, JUDGED, DOCUMENT_LENGTH = 20_000, 7, 8, 128
ENCODER, DECODER, HEAD, PEAK, MFU = 85e6, 113e6, 24.7e6, 989e12, 0.4


def documents(count: int, seed: int) -> Iterator:
    """Yields the documents in order, a thousand drawn at a time."""
    from gr2_jax.corpus import Document

    rng = np.random.default_rng(seed)
    syllables = [a + b for a in "bcdfglmnprst" for b in "aeiou"]
    words = np.array(["".join(rng.choice(syllables, rng.integers(2, 5))) for _ in range(WORDS)])
    odds = np.arange(1, WORDS + 1) ** -1.1
    steps = np.cumsum(odds / odds.sum())
    for start in range(0, count, 1000):
        drawn = words[np.searchsorted(steps, rng.random((1000, 10, SENTENCE))).clip(max=WORDS - 1)]
        for i, lines in enumerate(drawn[: count - start]):
            sentences = [" ".join(line).capitalize() + "." for line in lines]
            text = "\n\n".join(" ".join(sentences[k : k + 3]) for k in (1, 4, 7))
            yield Document(f"d{start + i}", sentences[0].rstrip("."), text)


def queries(count: int, seed: int) -> Iterator:
    """Yields a graded query for each document: its title, with its own row and rows of others."""
    from gr2_jax.data.seqio.records import Example

    rng = np.random.default_rng(seed + 1)
    for i, document in enumerate(documents(count, seed)):
        others = rng.integers(0, count, rng.integers(1, JUDGED))
        yield Example(document.title, [i, *others.tolist()], [4] + [1] * len(others))


def subset_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.corpus import CollectionStream, subset

    stream = CollectionStream("made", lambda: documents(count, seed), {"q": "x"}, {"q": {"d0": 1}}, {})
    return count if sum(1 for _ in subset(stream, count * 9 // 10, seed=seed).documents()) == count * 9 // 10 else 0


def augment_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.corpus import pseudo_queries

    return sum(len(pseudo_queries(document, seed=seed)) for document in documents(count, seed))


def write_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.data.seqio.records import Example, write_examples

    texts = (Example(document.contents, [i], [4]) for i, document in enumerate(documents(count, seed)))
    written = write_examples(folder / "documents", texts, shards=8)
    return written + write_examples(folder / "queries", queries(count, seed), shards=8)


def tasks(folder: Path) -> list:
    from gr2_jax.data.seqio.libraries import libraries
    from gr2_jax.data.seqio.tasks import TaskOptions, register_tasks

    roles = ("documents", "queries")
    options = TaskOptions(folder / "spiece.model", 100, add_eos=True)
    register_tasks("made", {role: f"{folder}/{role}-*" for role in roles}, options)
    return [libraries().seqio.TaskRegistry.get(f"made_{role}") for role in roles]


def tokenise_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.data.seqio.materialise import materialise_files

    lengths = (DOCUMENT_LENGTH, 64)
    return sum(
        materialise_files(task, folder / f"{task.name}.files", length=length)
        for task, length in zip(tasks(folder), lengths, strict=True)
    )


def cache_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.data.seqio.caching import cache_tasks

    made = tasks(folder)
    cache_tasks([task.name for task in made], str(folder / "cache"), shards=16)
    return 2 * count


def cached_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.data.seqio.libraries import libraries

    made = tasks(folder)
    libraries().seqio.add_global_cache_dirs([str(folder / "cache")])
    return sum(1 for task in made for _ in task.get_dataset(use_cached=True, shuffle=False, sequence_length=None))


def open_files(folder: Path):
    from gr2_jax.data.example_files import ExampleFiles

    documents_ = ExampleFiles.open(folder / "made_documents.files", length=DOCUMENT_LENGTH, judged=1)
    return documents_, ExampleFiles.open(folder / "made_queries.files", length=64, judged=JUDGED)


def take_stage(folder: Path, count: int, seed: int) -> int:
    files, rng = open_files(folder)[0], np.random.default_rng(seed)
    return sum(files.take(rng.integers(0, len(files), 128)).size for _ in range(400))


def batch_stage(folder: Path, count: int, seed: int) -> int:
    from gr2_jax.data.batches import BatchConfig, GradedBatches

    texts, graded = open_files(folder)
    shape = BatchConfig(
        queries=128, docids=4, indexing_texts=128, pseudo_share=0.0, shortest_span=8, longest_span=64, length=64
    )
    batches = GradedBatches(graded, texts, texts, shape, seed, eos=1)
    return sum(len(part["query_tokens"]) + len(part["indexing_tokens"]) for part in map(batches, range(100)))


STAGES: dict[str, Callable[[Path, int, int], int]] = {
    "subset": subset_stage,
    "augment": augment_stage,
    "write": write_stage,
    "tokenise": tokenise_stage,
    "cache": cache_stage,
    "cached": cached_stage,
    "take": take_stage,
    "batch": batch_stage,
}


def consumed(query_length: int, docids: int, docid_length: int) -> float:
    """Examples per second of one H200, by the formula above."""
    flops = 6 * (ENCODER * query_length + (DECODER + HEAD) * docids * docid_length)
    return PEAK * MFU / flops


def measure(stage: str, folder: Path, count: int, seed: int) -> None:
    """Runs the stage and prints its figures as JSON."""
    if STAGES[stage] in (tokenise_stage, cache_stage, cached_stage, write_stage):
        from gr2_jax.data.seqio.libraries import libraries

        libraries()  # imported before the clock starts
    began = time.perf_counter()
    examples = STAGES[stage](folder, count, seed)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"examples": examples, "seconds": seconds, "peak": peak}))


def run(count: int, stages: list[str], seed: int, root: Path) -> None:
    from gr2_jax.data.vocabulary import train_vocabulary

    folder = root / f"made-{count}"
    folder.mkdir(parents=True)
    texts = (document.text for document in itertools.islice(documents(2000, seed), 2000))
    train_vocabulary(texts, folder / "spiece.model", size=8000)
    for stage in stages:
        command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--documents", str(count)]
        done = subprocess.run([*command, "--seed", str(seed)], stdout=subprocess.PIPE, check=True, text=True)
        figures = json.loads(done.stdout.splitlines()[-1])
        rate = figures["examples"] / figures["seconds"]
        print(
            f"| {stage} | {count:,} | {figures['examples']:,} | {figures['seconds']:.1f} | {rate:,.0f} "
            f"| {figures['peak']:,.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--cached", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        measure(options.stage, options.folder, options.documents[0], options.seed)
        return
    print("| stage | documents | examples | seconds | examples/s | peak MiB |\n| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        for count in options.documents:
            run(count, ["subset", "augment", "write", "tokenise", "take", "batch"], options.seed, Path(root))
        if options.cached:
            run(options.cached, ["write", "cache", "cached"], options.seed, Path(root))
    for shape in ((64, 16, 16), (512, 1, 16)):
        print(f"one H200, T5-base, (Tq, K, Ti) = {shape}: {consumed(*shape):,.0f} examples/s")


if __name__ == "__main__":
    main()
