"""`register_tasks`: every role's features, the mixtures and their rates."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from gr2_jax.data.seqio.converters import docid_feature_converter
from gr2_jax.data.seqio.tasks import Example, TaskOptions, materialise, register_tasks, write_examples
from gr2_jax.data.vocabulary import Tokenizer
from gr2_jax.errors import UserError

EXTRA, TI = 5, 6
EXAMPLES = [
    Example("sort an array", [1, 0], [4, 2], ["Sort an array of numbers, in place", "array"]),
    Example("numbers", [2], [1], [""]),
]


def bytes_of(**features):
    """A record as another program writes it."""
    made = {}
    for name, values in features.items():
        if isinstance(values[0], str):
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() for v in values]))
        else:
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("roles")
    for role in ("queries", "pseudo", "docids"):
        write_examples(folder / role, EXAMPLES)
    with tf.io.TFRecordWriter(str(folder / "pairs")) as writer:
        documents = {"doc_ids": [7, 80_000_000], "titles": ["lazy dog", "brown fox"], "grades": [4, 1]}
        writer.write(bytes_of(query_id=[7], query=["the quick fox"], **documents))
    with tf.io.TFRecordWriter(str(folder / "titles")) as writer:
        writer.write(bytes_of(doc_id=[7], title=["lazy dog"], text=["jumps over"], url=["u"]))
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def encode(vocabulary):
    return Tokenizer(vocabulary, extra_ids=EXTRA).encode


def closed(tokens):
    ended = [*tokens[: TI - 1], 1]
    return ended + [0] * (TI - len(ended))


def read(name, judged=3):
    return materialise(seqio.TaskRegistry.get(name), length=8, judged=judged)


def test_docids_that_are_text_are_cut_and_ended(files, vocabulary, encode):
    register_tasks("text", {"queries": files["queries"]}, TaskOptions(vocabulary, EXTRA, docid_length=TI))
    found = read("text_queries")
    expected = [[closed(encode(d)) for d in e.docids] + [[0] * TI] * (3 - len(e.docids)) for e in EXAMPLES]
    assert len(encode(EXAMPLES[0].docids[0])) > TI  # so that one is cut
    assert found.docid_tokens.tolist() == expected
    assert found.docid_rows.tolist() == [[1, 0, -1], [2, -1, -1]]


def test_docids_of_a_table_are_looked_up_by_row(files, vocabulary):
    table = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    register_tasks("table", {"queries": files["queries"]}, TaskOptions(vocabulary, EXTRA, docid_table=table))
    found = read("table_queries").docid_tokens
    assert found[0].tolist() == [[5, 6, 7, 8], [1, 2, 3, 4], [0] * 4]
    assert found[1].tolist() == [[9, 10, 11, 12], [0] * 4, [0] * 4]


def test_wikipedia_pairs_and_titles_are_one_shape(files, vocabulary, encode):
    register_tasks("wiki", {r: files[r] for r in ("pairs", "titles")}, TaskOptions(vocabulary, EXTRA, docid_length=TI))
    pairs, titles = read("wiki_pairs", 2), read("wiki_titles", 2)
    assert pairs.docid_rows.tolist() == [[7, 80_000_000]]
    assert pairs.grades.tolist() == [[4, 1]]
    assert pairs.docid_tokens[0].tolist() == [closed(encode("lazy dog")), closed(encode("brown fox"))]
    assert titles.tokens[0].tolist() == (encode("jumps over") + [0] * 8)[:8]
    assert titles.docid_rows.tolist() == [[7, -1]]
    assert titles.docid_tokens[0, 0].tolist() == closed(encode("lazy dog"))


def test_docid_generation_has_an_example_for_each_query(files, vocabulary, encode):
    register_tasks("gen", {"docids": files["docids"]}, TaskOptions(vocabulary, EXTRA))
    dataset = seqio.get_dataset(
        mixture_or_task_name="gen_docids",
        task_feature_lengths={"inputs": 8, "targets": 5},
        dataset_split="train",
        shuffle=False,
        num_epochs=1,
        feature_converter=docid_feature_converter(),
    )
    names = ("encoder_input_tokens", "decoder_target_tokens")
    found = [tuple(example[name].tolist() for name in names) for example in dataset.as_numpy_iterator()]
    pairs = [(encode(e.text), [*encode(q)[:4], 1]) for e in EXAMPLES for q in e.docids]
    assert found == [((x + [0] * 8)[:8], (y + [0] * 5)[:5]) for x, y in pairs]


def test_a_mixture_holds_its_rates(files, vocabulary):
    roles = {role: files[role] for role in ("queries", "pseudo")}
    table = np.ones((3, 2), np.int32)
    names = register_tasks("mix", roles, TaskOptions(vocabulary, EXTRA, docid_table=table), {"queries": 3.0})
    assert names == ["mix_queries", "mix_pseudo", "mix_finetuning"]
    mixture = seqio.MixtureRegistry.get("mix_finetuning")
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    assert rates == {"mix_queries": 3.0, "mix_pseudo": 1.0}
    features = next(iter(mixture.get_dataset(sequence_length=None, seed=0).as_numpy_iterator()))
    assert features.keys() == {"inputs", "docid_rows", "grades", "docid_tokens"}


@pytest.mark.parametrize(
    ("roles", "rates", "sentence"),
    [
        ({"query": "x"}, {}, "did you mean 'queries'"),
        ({}, {"queries": 0.0}, "must be positive, found 0.0"),
        ({"queries": "/nowhere/x*"}, {}, "no file matches /nowhere/x"),
    ],
)
def test_bad_registrations_are_refused(roles, rates, sentence, vocabulary):
    with pytest.raises(UserError, match=sentence):
        register_tasks("wrong", roles, TaskOptions(vocabulary, EXTRA), rates)


def test_titles_need_a_length(files, vocabulary):
    with pytest.raises(UserError, match="docid_length"):
        register_tasks("wrong", {"pairs": files["pairs"]}, TaskOptions(vocabulary, EXTRA))
