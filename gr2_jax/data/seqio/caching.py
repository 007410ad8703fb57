"""seqio's offline cache, filled by Apache Beam: tasks preprocessed once, then read with `use_cached=True`.

Like seqio's own cache script, except for the order: the script shuffles examples at random; here the same files give
the same bytes with any runner and any number of workers.
"""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from gr2_jax.data.seqio.libraries import libraries
from gr2_jax.errors import UserError, install, nearest

_COMPLETED = "COMPLETED"  # seqio's mark of a finished cache
# DirectRunner would first download a program; it falls back to this runner. Later flags override earlier ones.
_IN_THIS_PROCESS = ("--runner=FnApiRunner",)
_IN_PROCESSES = (*_IN_THIS_PROCESS, "--direct_num_workers=0", "--direct_running_mode=multi_processing")


def cache_tasks(
    names: Sequence[str],
    output_dir: str,
    beam_arguments: Sequence[str] = (),
    *,
    shards: int = 64,
    register: Callable[[], object] | None = None,
) -> list[str]:
    """Caches the registered tasks under `output_dir`, adds that to seqio's cache directories, and returns each task's
    own directory. Tasks already cached stay as they are; an interrupted cache is rebuilt.

    `beam_arguments` are Beam's own flags. Without `register`, Beam runs in this process. With it, Beam runs a process
    per core (or what the flags say), each of which calls `register` before it reads a task: a picklable function, such
    as a partial of `register_tasks`. A shard must fit in the memory of one worker. `UserError` for an unknown task, and
    for a cache of the same name that was made from other files.
    """
    seqio = libraries().seqio
    known = seqio.TaskRegistry.names()
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise UserError(f"there is no task '{unknown}' to cache: {nearest(unknown, known)}")
    directories = [os.path.join(output_dir, seqio.get_task_dir_from_name(name)) for name in names]
    tasks = [seqio.TaskRegistry.get(name) for name in names]
    missing = [(t, d) for t, d in zip(tasks, directories, strict=True) if not _is_cached(t, d)]
    if missing:
        _run(missing, beam_arguments, shards, register)
    seqio.add_global_cache_dirs([output_dir])
    return directories


def _is_cached(task, directory: str) -> bool:
    gfile = libraries().tf.io.gfile
    mark = os.path.join(directory, _COMPLETED)
    if not gfile.exists(mark):
        return False
    with gfile.GFile(mark) as file:
        if file.read() != _fingerprint(task):
            raise UserError(f"{directory} caches '{task.name}' from other data: remove it, or choose another place")
    return True


def _fingerprint(task) -> str:
    """A digest of the source files' names and sizes, the vocabulary, and the cached features and their shapes."""
    gfile = libraries().tf.io.gfile
    files = [(path, gfile.stat(path).length) for path in task.source.list_shards("train")]
    pieces = hashlib.sha256(task.output_features["inputs"].vocabulary.sp_model).hexdigest()
    cached = task.preprocess_precache(task.source.get_dataset(split="train", shuffle=False), seed=0)
    features = sorted((name, repr(spec)) for name, spec in cached.element_spec.items())
    return hashlib.sha256(repr([files, pieces, features]).encode()).hexdigest()


def _run(missing: list, beam_arguments: Sequence[str], shards: int, register: Callable | None) -> None:
    tf = libraries().tf
    try:
        import apache_beam as beam
        import google_crc32c  # noqa: F401  (seqio's Beam code needs it)
        from apache_beam.options.pipeline_options import PipelineOptions
    except ModuleNotFoundError as error:
        raise UserError(f"caching tasks needs {error.name}: {install('data,beam')}") from error
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    options = PipelineOptions([*(_IN_PROCESSES if register else _IN_THIS_PROCESS), *beam_arguments])
    with beam.Pipeline(options=options) as pipeline:
        for task, directory in missing:
            if tf.io.gfile.exists(directory):
                tf.io.gfile.rmtree(directory)
            tf.io.gfile.makedirs(directory)
            _cache(pipeline, task, directory, shards, register)
    for task, directory in missing:
        with tf.io.gfile.GFile(os.path.join(directory, _COMPLETED), "w") as mark:
            mark.write(_fingerprint(task))


def _cache(pipeline, task, directory: str, shards: int, register: Callable | None) -> None:
    """One task's part of the pipeline: its shards, and the two files that seqio needs to read them."""
    import apache_beam as beam
    from seqio import beam_utils

    seqio = libraries().seqio
    prefix = seqio.get_cached_tfrecord_prefix(directory, "train")
    examples = pipeline | f"{task.name} read" >> beam_utils.PreprocessTask(
        task, "train", setup_fn=register or _nothing, add_provenance=True
    )
    every = pipeline | f"{task.name} shards" >> beam.Create([(shard, None) for shard in range(shards)])
    keyed = examples | f"{task.name} deal" >> beam.Map(_dealt, shards)
    written = (keyed, every) | f"{task.name} both" >> beam.Flatten() | f"{task.name} group" >> beam.GroupByKey()
    _ = written | f"{task.name} write" >> beam.Map(_WriteShard(prefix, shards))
    plain = examples | f"{task.name} plain" >> beam.Map(_without_provenance)
    info = plain | f"{task.name} info" >> beam_utils.GetInfo(shards)
    stats = plain | f"{task.name} stats" >> beam_utils.GetStats(task.output_features)
    for figures, path in (
        (info, seqio.get_cached_info_path(directory, "train")),
        (stats, seqio.get_cached_stats_path(directory, "train")),
    ):
        _ = figures | f"write {path}" >> beam_utils.WriteJson(path)


def _nothing() -> None:
    pass


def _dealt(example: dict, shards: int) -> tuple[int, tuple[bytes, bytes]]:
    """A shard and a place in it, by a hash of where the example comes from: shuffled, yet deterministic."""
    from seqio import beam_utils

    seqio = libraries().seqio
    keys = (beam_utils.SOURCE_SHARD_ID_PROVENANCE_KEY, beam_utils.ID_WITHIN_SHARD_PROVENANCE_KEY)
    place = hashlib.blake2b(repr([int(example[key]) for key in keys]).encode(), digest_size=16).digest()
    record = seqio.dict_to_tfexample(_without_provenance(example)).SerializeToString(deterministic=True)
    return int.from_bytes(place[:8], "little") % shards, (place, record)


def _without_provenance(example: dict) -> dict:
    from seqio import beam_utils

    return {name: value for name, value in example.items() if not name.startswith(beam_utils.PROVENANCE_PREFIX)}


@dataclasses.dataclass(frozen=True)
class _WriteShard:
    """Writes one shard under a temporary name and renames it, so that retrying workers do no harm."""

    prefix: str
    shards: int

    def __call__(self, group: tuple[int, Iterable[tuple[bytes, bytes] | None]]) -> None:
        tf = libraries().tf
        shard, records = group
        path = f"{self.prefix}-{shard:05d}-of-{self.shards:05d}"
        partial = os.path.join(os.path.dirname(path), f"partial-{os.path.basename(path)}-{os.getpid()}")
        with tf.io.TFRecordWriter(partial) as writer:
            for record in _in_order(records):
                writer.write(record)
        tf.io.gfile.rename(partial, path, overwrite=True)


def _in_order(records: Iterable[tuple[bytes, bytes] | None]) -> Iterator[bytes]:
    return (record for _, record in sorted(filter(None, records)))
