"""The reader's errors for builds with missing or damaged files, which the tests write without Beam."""

import json

import pytest

from gr2_jax.corpus.wikipedia.examples import encode_example, frame
from gr2_jax.corpus.wikipedia.reader import read_wikipedia, wikipedia_documents, wikipedia_files
from gr2_jax.errors import UserError

DOCUMENT = {"doc_id": 3, "title": "Lake", "text": "A lake is still water.", "url": "u"}
PAIR = {"query_id": 3, "query": "still water", "doc_ids": [3], "titles": ["Lake"], "grades": [4]}


@pytest.fixture
def build(tmp_path):
    shards = {}
    for name, record in (("documents", DOCUMENT), ("pairs", PAIR)):
        folder = tmp_path / name / "1.0.0"
        folder.mkdir(parents=True)
        sizes = [
            (folder / f"{name}-train.tfrecord-{shard:05d}-of-00002").write_bytes(data)
            for shard, data in enumerate((b"", frame(encode_example(record))))
        ]
        shards[name] = [{"bytes": size} for size in sizes]
    manifest = {"dumps": [{"name": "d"}], "site": {"dbname": "", "base": "b"}, "options": {}, "shards": shards}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def shard(build, name="documents"):
    return build / name / "1.0.0" / f"{name}-train.tfrecord-00001-of-00002"


def test_the_files_are_those_of_the_manifest(build):
    shard(build).with_name("documents-train.tfrecord-00000-of-00003").write_bytes(b"of an earlier build")
    files = wikipedia_files(build, "documents")
    assert files == [str(shard(build)).replace("tfrecord-00001", "tfrecord-00000"), str(shard(build))]
    stream = read_wikipedia(build)
    assert (stream.name, stream.queries, stream.qrels) == ("wikipedia", {"3": "still water"}, {"3": {"3": 4}})
    assert [document.title for document in stream.documents()] == ["Lake"]


def test_a_missing_shard_and_a_shard_of_another_size_are_reported(build):
    data = shard(build).read_bytes()
    shard(build).write_bytes(data + data)
    with pytest.raises(UserError, match=rf"00001-of-00002 has {2 * len(data)} bytes, not the build's {len(data)}"):
        wikipedia_files(build, "documents")
    shard(build).unlink()
    with pytest.raises(UserError, match=r"00001-of-00002, a shard of the build, is missing"):
        list(wikipedia_documents(build))


@pytest.mark.parametrize("text", ['{"dumps": [', '{"name": "a web application"}', "[]", '{"dumps": [1]}', "\x00"])
def test_a_damaged_or_foreign_manifest_is_reported(build, text):
    (build / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is (not JSON|damaged or not a manifest)"):
        read_wikipedia(build)


def test_a_damaged_record_is_reported_with_file_and_offset(build):
    for name, read in (
        ("documents", lambda: list(wikipedia_documents(build))),
        ("pairs", lambda: read_wikipedia(build)),
    ):
        path = shard(build, name)
        data = bytearray(path.read_bytes())
        data[12:20] = b"\xff" * 8
        path.write_bytes(data)
        with pytest.raises(UserError, match=rf"{path.name}: the record that begins at byte 0 is damaged"):
            read()
