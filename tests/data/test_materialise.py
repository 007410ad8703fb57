import numpy as np
import seqio
import tensorflow as tf

from gr2_jax.corpus.wikipedia.examples import encode_example
from gr2_jax.data.example_files import ExampleFiles
from gr2_jax.data.seqio.materialise import materialise, materialise_files
from gr2_jax.data.seqio.tasks import Example, TaskOptions, register_tasks, write_examples

EXAMPLES = [Example(f"sort array {i}", [i, 0, 3], [3, 2, 0], [f"title {i}", "", "numbers"]) for i in range(20)]
EXAMPLES += [Example("", [], [])]


def test_a_task_in_files_equals_the_task_in_memory(tmp_path, vocabulary):
    write_examples(tmp_path / "x", EXAMPLES, shards=2)
    options = TaskOptions(vocabulary, 5, add_eos=True, docid_length=5)
    register_tasks("filed", {"queries": f"{tmp_path}/x*"}, options)
    task = seqio.TaskRegistry.get("filed_queries")
    assert materialise_files(task, tmp_path / "files", length=4, shards=3) == len(EXAMPLES)
    files = ExampleFiles.open(tmp_path / "files", length=4, judged=2, docid_length=5)
    arrays, indices = materialise(task, length=4, judged=2), np.array([20, 3, 0, 19, 3])
    for mine, theirs in zip(files.take(indices), arrays.take(indices), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    everything = ExampleFiles.open(tmp_path / "files").take(indices)
    assert everything.docid_rows[1].tolist() == [3, 0, 3]  # all judged documents are in the files
    assert everything.grades[1].tolist() == [3, 2, 0]


def test_wikipedia_titles_have_one_document_each(tmp_path, vocabulary):
    record = encode_example({"doc_id": 7, "title": "quick fox", "text": "jumps over the dog", "url": "u"})
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        writer.write(record)
    register_tasks("one", {"titles": str(tmp_path / "x")}, TaskOptions(vocabulary, 5, docid_length=5))
    task = seqio.TaskRegistry.get("one_titles")
    materialise_files(task, tmp_path / "files", length=4, judged=2)
    found = ExampleFiles.open(tmp_path / "files", length=4, judged=2, docid_length=5).take(np.array([0]))
    for mine, theirs in zip(found, materialise(task, length=4, judged=2), strict=True):
        np.testing.assert_array_equal(mine, theirs)
