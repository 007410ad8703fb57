"""Files that can be read only once, as of `cat run | gr2 metrics /dev/stdin ...` and `<(zcat run.gz)`."""

import gzip
import json
import os
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gr2_jax.cli import main
from gr2_jax.corpus import (
    Document,
    open_collection,
    read_qrels,
    read_run,
    read_topics,
    source_fingerprint,
    subset,
    survey,
)
from gr2_jax.corpus.qrels import read_beir_qrels
from gr2_jax.errors import UserError

LINES = 5000  # more than a pipe holds
RUN = "".join(f"q{i} Q0 d 1 {i}.5 t\n" for i in range(LINES))
QRELS = "".join(f"q{i} 0 d 1\n" for i in range(LINES))
BEIR_QRELS = "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td\t1\n" for i in range(LINES))
TABLE = "".join(f"{i}\ttopic number {i}\n" for i in range(LINES))
TAGGED = "".join(f"<top>\n<num> Number: {i}\n<title> topic number {i}\n</top>\n" for i in range(LINES))
DOCUMENTS = "".join(f'{{"doc_id": "d{i}", "text": "text number {i}"}}\n' for i in range(LINES))
CORPUS = DOCUMENTS.replace("doc_id", "_id")
PAGES = "".join(f"<DOC>\n<DOCNO> d{i} </DOCNO>\n<TEXT>\ntext number {i}\n</TEXT>\n</DOC>\n" for i in range(LINES))


@contextmanager
def pipe(text, pack):
    """The path of a pipe that gives one byte before all others, so that nobody sees a file's beginning at once."""
    data = text.encode()
    data = gzip.compress(data[:1]) + gzip.compress(data[1:]) if pack else data
    reading, writing = os.pipe()

    def write():
        with suppress(BrokenPipeError), open(writing, "wb", buffering=0) as file:
            for part in (data[:1], data[1:]):
                file.write(part)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield Path(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
        writer.join()


every_packing = pytest.mark.parametrize("pack", [False, True], ids=["plain", "gzip"])


@every_packing
@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_run, RUN),
        (read_qrels, QRELS),
        (read_beir_qrels, BEIR_QRELS),
        (read_topics, TABLE),
        (read_topics, TAGGED),
    ],
)
def test_a_pipe_gives_what_the_file_gives(tmp_path, read, text, pack):
    (tmp_path / "file").write_text(text)
    with pipe(text, pack) as path:
        assert read(path) == read(tmp_path / "file")


@contextmanager
def folder_of(files, directory, pack):
    """A collection whose first file is a pipe."""
    (piped, text), *others = files.items()
    for name, content in others:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    (directory / piped).parent.mkdir(exist_ok=True)
    with pipe(text, pack) as path:
        (directory / piped).symlink_to(path)
        yield str(directory)


OURS = {"documents.jsonl": DOCUMENTS, "queries.tsv": "q1\tx\n", "qrels.txt": "q1 0 d1 1\n"}
BEIR = {
    "corpus.jsonl": CORPUS,
    "queries.jsonl": '{"_id": "q1", "text": "x"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}
TREC = {"documents/a": PAGES, "topics": "q1\tx\n", "qrels": "q1 0 d1 1\n"}


@every_packing
@pytest.mark.parametrize("files", [OURS, BEIR, TREC], ids=["ours", "BEIR", "TREC"])
def test_a_collection_whose_documents_are_a_pipe(tmp_path, files, pack):
    with folder_of(files, tmp_path / "in", pack) as source:
        stream = open_collection(source)
        assert list(stream.documents()) == [Document(f"d{i}", "", f"text number {i}") for i in range(LINES)]
        assert stream.queries == {"q1": "x"}
        with pytest.raises(UserError, match="is a pipe, and this reads it more than once"):
            stream.documents()


@pytest.mark.parametrize("name", ["queries.tsv", "qrels.txt", "provenance.json"])
def test_a_collection_with_another_pipe(tmp_path, name):
    files = OURS | {"documents.jsonl": DOCUMENTS[: DOCUMENTS.index("\n")], "provenance.json": '{"name": "mine"}'}
    with folder_of({name: files.pop(name)} | files, tmp_path / "in", False) as source:
        found = open_collection(source)
    assert (found.name, found.queries, found.qrels) == ("mine", {"q1": "x"}, {"q1": {"d1": 1}})


def test_who_reads_twice_says_so_before_it_waits_for_more(tmp_path):
    with (
        folder_of(OURS, tmp_path / "in", False) as source,
        pytest.raises(UserError, match=r"documents\.jsonl is a pipe"),
    ):
        source_fingerprint(source)
    with folder_of(OURS, tmp_path / "other", False) as source:
        some = subset(open_collection(source), 10, seed=0)
        with pytest.raises(UserError, match=r"documents\.jsonl is a pipe"):
            list(some.documents())


def test_repeated_documents_of_a_pipe_are_counted(tmp_path):
    with folder_of(OURS | {"documents.jsonl": DOCUMENTS + DOCUMENTS}, tmp_path / "in", False) as source:
        found = survey(open_collection(source))
    assert (found.repeated_ids.count, found.repeated_ids.first) == (LINES, ())
    assert any(line.startswith("documents with a repeated id") for line in found.lines())


def test_metrics_of_pipes_are_those_of_the_files(tmp_path, capsys):
    (tmp_path / "run").write_text(RUN)
    (tmp_path / "qrels").write_text(QRELS)

    def measures(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["metrics", *map(str, arguments), "--json", "--output", str(tmp_path / "out")])
        assert stop.value.code == 0
        return capsys.readouterr().out

    with pipe(RUN, False) as run, pipe(QRELS, True) as qrels:
        piped = measures(run, qrels)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())["provenance"]
    assert piped == measures(tmp_path / "run", tmp_path / "qrels")
    assert [summary["qrels"]["sha256"], *(each["sha256"] for each in summary["runs"].values())] == [None, None]


def test_a_missing_file_in_a_crowded_folder(tmp_path):
    for i in range(300):
        (tmp_path / f"{i:03}").touch()
    with pytest.raises(UserError, match=r"it holds: 000, .*, 009 and 290 more$"):
        read_run(tmp_path / "none")
