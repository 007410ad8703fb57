"""Wikipedia dumps to documents and graded pairs, with two Apache Beam pipelines that can be stopped and resumed.

Phase 1 parses each part of the dumps; phase 2 writes the documents and joins links with titles. Every part and shard is
complete or absent. A resumed build makes only the absent ones, and its bytes do not depend on the workers.

On a runner with other machines (Dataflow, Flink, Spark) the workers need this package and `google-crc32c`: give Beam's
`--extra_package dist/gr2_jax-0.1.0.tar.gz` (made by `python -m build --sdist`) with `--requirements_file`, or an image
with both (`--sdk_container_image`), and paths that every worker can reach (gs://, s3://, hdfs://, a shared disk).
The local runner holds the titles and candidates that phase 2 joins (but no texts) in memory.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from gr2_jax.corpus.wikipedia import inputs, manifest, runner, storage
from gr2_jax.corpus.wikipedia.pairs import WikipediaOptions
from gr2_jax.corpus.wikipedia.quiet import quiet
from gr2_jax.corpus.wikipedia.shards import DOCUMENTS, PAIRS, read_note
from gr2_jax.corpus.wikipedia.watch import watching
from gr2_jax.errors import UserError
from gr2_jax.files import writing
from gr2_jax.lock import LOCK_FILE, holding
from gr2_jax.progress import say


def build_wikipedia(
    dumps: Sequence[str], output: str, options: WikipediaOptions, beam_arguments: Sequence[str] = ()
) -> dict:
    """Builds OUTPUT/documents and OUTPUT/pairs from dumps (paths or globs) and returns the manifest.

    A complete build of the same dumps and options is left unchanged; a stopped build is resumed. If a dump has been
    copied again and has another size, its parts are parsed again.

    Raises UserError for dumps that are missing, broken (finished parts are kept) or of several wikis, and for an output
    that holds another build.
    """
    output = output.rstrip("/")
    with _alone(output):
        return _build(dumps, output, options, beam_arguments)


def _alone(output: str) -> contextlib.AbstractContextManager:
    """Keeps other builds out of a folder of this machine's file systems; object stores have no locks."""
    if "://" in output:
        return contextlib.nullcontext()
    return holding(Path(output), Path(output + LOCK_FILE))


def _build(dumps: Sequence[str], output: str, options: WikipediaOptions, beam_arguments: Sequence[str]) -> dict:
    files = inputs.dump_files(dumps)
    tasks = inputs.part_tasks(files, output, options)
    pipeline = runner.pipelines(beam_arguments, len(tasks))
    identity = {"format": 2, "options": dataclasses.asdict(options), "dumps": inputs.names(files)}
    site = inputs.read_one_site([path for path, _ in files])
    finished = manifest.check(output, identity)
    if finished:
        return finished
    with quiet(), writing(output):
        _parse(tasks, site, options, pipeline)
        summaries = [storage.read_json(task.summary) for task in tasks]
        pieces = [
            {**piece, "path": storage.join(output, "articles", piece["path"])}
            for summary in summaries
            for piece in summary["pieces"]
        ]
        _write(pieces, output, options, pipeline)
    account = manifest.finish(output, identity, site, summaries, options)
    if not account["counts"]["queries"]:
        say("wikipedia: warning: the build holds no queries: no article had a usable sentence")
    return account


def _parse(tasks: list, site, options: WikipediaOptions, pipeline: Callable) -> None:
    """Phase 1: parses the absent parts. Raises the first error after all parts have run."""
    import apache_beam as beam

    from gr2_jax.corpus.wikipedia.parts import parse_part

    storage.remove(task.error for task in tasks)
    absent = [task for task in tasks if not storage.exists(task.summary)]
    if len(absent) < len(tasks):
        say(f"wikipedia: {len(tasks) - len(absent)} of {len(tasks)} parts exist already")
    if absent:
        with watching([task.summary for task in tasks], "parts parsed"), pipeline() as root:
            _ = root | beam.Create(absent) | beam.Reshuffle() | beam.Map(parse_part, site, options)
    faults = [storage.read_json(task.error) for task in tasks if storage.exists(task.error)]
    for task in tasks:
        for warning in [] if storage.exists(task.error) else storage.read_json(task.summary)["warnings"]:
            say(f"wikipedia: {warning}")
    if faults:
        fault = min(faults, key=lambda fault: fault["input"])
        more = f" ({len(faults)} parts failed; the others are kept)" if len(tasks) > 1 else ""
        raise (UserError if fault["input"] else RuntimeError)(fault["text"] + more)


def _write(pieces: list[dict], output: str, options: WikipediaOptions, pipeline: Callable) -> None:
    """Phase 2: writes the absent shards of documents, and all pairs if one of their shards is absent."""
    import apache_beam as beam

    from gr2_jax.corpus.wikipedia import join
    from gr2_jax.corpus.wikipedia.shards import note_path, write_documents

    names = {name: [f"{name}-{shard:05d}" for shard in range(options.shards)] for name in (DOCUMENTS, PAIRS)}
    notes = [note_path(output, name) for name in (*names[DOCUMENTS], *names[PAIRS], "dropped")]
    present = {note for note in notes if storage.exists(note)}
    documents = [shard for shard, note in enumerate(notes[: options.shards]) if note not in present]
    joined = present.issuperset(notes[options.shards :])
    if documents or not joined:
        with watching(notes, "shards written"), pipeline() as root:
            if documents:
                _ = (
                    root
                    | "Shards" >> beam.Create(documents)
                    | "Spread" >> beam.Reshuffle()
                    | "Write documents" >> beam.Map(write_documents, pieces, output, options)
                )
            if not joined:
                join.write_pairs(root, pieces, output, options)
    for name in names[DOCUMENTS]:
        read_note(output, name)
