import pytest
import seqio

from gr2_jax.data.seqio.records import Example
from gr2_jax.data.seqio.tasks import TaskOptions, materialise, register_tasks
from gr2_jax.data.seqio.tfds_dataset import write_dataset
from gr2_jax.errors import UserError

EXAMPLES = [Example(f"array {i} é", [i, 0], [3, 1], [f"title {i}", "zero"]) for i in range(7)]
EXAMPLES += [Example("no docids", [2], [1])]


def plain(found):
    text = [t.decode() for t in found["docids"]]
    return Example(found["inputs"].decode(), [*found["docid_rows"]], [*found["grades"]], text or ())


def test_tfds_load_and_a_task_read_the_same_files(tmp_path, vocabulary):
    import tensorflow_datasets as tfds

    directory = write_dataset(tmp_path, "gov_queries", EXAMPLES, shards=3)
    dataset, info = tfds.load("gov_queries", data_dir=tmp_path, split="train", with_info=True)
    assert info.splits["train"].num_examples == len(EXAMPLES)
    assert sorted(map(plain, tfds.as_numpy(dataset))) == sorted(EXAMPLES)
    register_tasks("tfds", {"queries": f"{directory}/*.tfrecord-*"}, TaskOptions(vocabulary, 5))
    assert materialise(seqio.TaskRegistry.get("tfds_queries"), length=4, judged=1).docid_rows[:, 0].tolist() == [
        *range(7),
        2,
    ]
    with pytest.raises(UserError, match="exists already"):
        write_dataset(tmp_path, "gov_queries", EXAMPLES)


def test_tfds_data_source_has_random_access(tmp_path):
    import tensorflow_datasets as tfds

    write_dataset(tmp_path, "gov_random", EXAMPLES, file_format="array_record")
    source = tfds.data_source("gov_random", data_dir=tmp_path, split="train")
    assert len(source) == len(EXAMPLES)
    assert plain(source[5]) == EXAMPLES[5]
