import functools

import pytest
import seqio

from gr2_jax.data.seqio.tasks import Example, TaskOptions, register_tasks, write_examples
from gr2_jax.errors import UserError

pytest.importorskip("apache_beam")
pytest.importorskip("google_crc32c")

EXAMPLES = [Example(f"sort array {i}", [i, 0][: 1 + i % 2], [3, 2][: 1 + i % 2]) for i in range(30)]


def register(folder, vocabulary):
    options = TaskOptions(vocabulary, 5, add_eos=True)
    return register_tasks("cached", {"queries": f"{folder}/x*"}, options)


def read(task, **arguments):
    lengths = {"inputs": 4, "docid_rows": 2, "grades": 2}
    dataset = task.get_dataset(sequence_length=lengths, shuffle=False, **arguments)
    return [tuple(tuple(e[name].tolist()) for name in lengths) for e in dataset.as_numpy_iterator()]


@pytest.fixture(scope="module")
def made(tmp_path_factory, vocabulary):
    from gr2_jax.data.seqio.caching import cache_tasks

    folder = tmp_path_factory.mktemp("cache")
    write_examples(folder / "x", EXAMPLES, shards=2)
    register(folder, vocabulary)
    return folder, cache_tasks(["cached_queries"], str(folder / "cache"), shards=3)


def shards_of(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "cached_queries").glob("train.*"))}


def test_the_cache_holds_what_the_task_gives(made):
    task = seqio.TaskRegistry.get("cached_queries")
    cached, fresh = read(task, use_cached=True), read(task, use_cached=False)
    assert sorted(cached) == sorted(fresh)
    assert cached != fresh  # shuffled, but always alike
    assert cached == read(task, use_cached=True)
    assert task.get_cached_stats("train")["examples"] == len(EXAMPLES)
    assert all(inputs[-1] == 1 or 0 in inputs or len(inputs) < 4 for inputs, _, _ in cached)


def test_an_interrupted_cache_is_rebuilt_with_the_same_bytes_and_a_complete_one_is_kept(made):
    from gr2_jax.data.seqio.caching import cache_tasks

    folder, [directory] = made
    before = shards_of(folder / "cache")
    assert len(before) == 3
    (folder / "cache" / "cached_queries" / "COMPLETED").unlink()
    next((folder / "cache" / "cached_queries").glob("train.*")).unlink()
    assert cache_tasks(["cached_queries"], str(folder / "cache"), shards=3) == [directory]
    assert shards_of(folder / "cache") == before
    times = [path.stat().st_mtime_ns for path in (folder / "cache" / "cached_queries").iterdir()]
    cache_tasks(["cached_queries"], str(folder / "cache"), shards=3)
    assert times == [path.stat().st_mtime_ns for path in (folder / "cache" / "cached_queries").iterdir()]


def test_unknown_tasks_and_caches_of_other_files_are_refused(made, tmp_path, vocabulary):
    from gr2_jax.data.seqio.caching import cache_tasks

    folder, _ = made
    with pytest.raises(UserError, match="did you mean 'cached_queries'"):
        cache_tasks(["cached_query"], str(folder / "cache"))
    write_examples(tmp_path / "x", EXAMPLES[:4])
    register(tmp_path, vocabulary)
    with pytest.raises(UserError, match="caches 'cached_queries' from other data"):
        cache_tasks(["cached_queries"], str(folder / "cache"))
    register_tasks("cached", {"queries": f"{folder}/x*"}, TaskOptions(vocabulary, 5, docid_length=4))
    with pytest.raises(UserError, match="caches 'cached_queries' from other data"):
        cache_tasks(["cached_queries"], str(folder / "cache"))
    register(folder, vocabulary)


@pytest.mark.slow
def test_other_processes_write_the_same_bytes(made, vocabulary):
    from gr2_jax.data.seqio.caching import cache_tasks

    folder, _ = made
    options = TaskOptions(vocabulary, 5, add_eos=True)
    setup = functools.partial(register_tasks, "cached", {"queries": f"{folder}/x*"}, options)
    cache_tasks(["cached_queries"], str(folder / "other"), ["--direct_num_workers=2"], shards=3, register=setup)
    assert shards_of(folder / "other") == shards_of(folder / "cache")
